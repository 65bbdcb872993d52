"""Pre-training and encoding over packs, against what they do over padded batches."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ablations.objectives.retromae import RetroMAE
from simlm.finetuning.biencoder import BiEncoder
from simlm.packed.forwards import prepare
from simlm.packed.layouts import Inference, inference_copy, inference_layout
from simlm.packed.pack import Packer, full_parts
from simlm.packed.texts import Packed, Padded
from simlm.pretraining.packing import PackingCollator, batches_of
from simlm.pretraining.replaced_lm import ReplacedLM
from simlm.retrieval.encode import encode_texts
from simlm.stages.work.pretraining import held_out_loss
from simlm.training.batches import MicroBatches, Packs, Split
from simlm.training.trainer import Outcome, train
from tests.packed.toys import SPECIALS
from tests.pretraining.toys import CONFIG, PIECES, bert, examples
from tests.retrieval.test_encode import random_store
from tests.stages.finetuning import packs_on_the_cpu
from tests.training.toys import PLAN, Collator, Killed, assert_near, dataset_in, masked_lm, replaced_lm, run

CPU = torch.device("cpu")
OBJECTIVE = replaced_lm(dropout=0).eval()


def packs_of(objective: ReplacedLM) -> Packs:
    """A few packs a batch."""
    prepare(objective, compiled=False)
    return Packs(PackingCollator(objective.collator, 60))


@pytest.mark.parametrize("micro_batch", [0, 3])
def test_training_without_padding_is_training_with_it(tmp_path: Path, micro_batch: int) -> None:
    """Batches of 8 as one micro-batch, or as two of 3 and one of 2; also from a checkpoint that a padded one left."""
    plan = replace(PLAN, micro_batch=micro_batch, log_every=1)
    dataset = dataset_in(tmp_path)

    def without_padding(folder: str) -> tuple[ReplacedLM, Outcome]:
        objective = replaced_lm(dropout=0)
        work = tmp_path / folder / "work"
        return objective, train(objective, dataset, packs_of(objective), plan, work, "toy")

    padded = replaced_lm(dropout=0)
    whole = run(padded, dataset, tmp_path / "padded", plan)
    ours, outcome = without_padding("packed")
    assert outcome.tokens == whole.tokens
    for name in ("loss", "encoder_loss", "decoder_loss", "grad_norm"):
        mine, theirs = ([entry[name] for entry in log if name in entry] for log in (outcome.log, whole.log))
        assert len(mine) == plan.steps and mine == pytest.approx(theirs, rel=1e-3)
    assert_near(ours, padded)

    killed = replaced_lm(dropout=0)
    with pytest.raises(Killed):  # in its eighth batch, of one micro-batch or of three
        run(killed, dataset, tmp_path / "half", plan, Collator(killed.collator, 23 if micro_batch else 8))
    resumed, outcome = without_padding("half")
    assert outcome.resumed_from == 6
    assert_near(resumed, padded)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 12), st.integers(0, 5), st.integers(1, 4))
def test_processes_without_padding_share_a_batch(batch: int, micro_batch: int, processes: int) -> None:
    """The weighted losses of all processes add up to the plain mean over micro-batches, weighed by their passages."""
    rows = examples([3 + 5 * number % 17 for number in range(batch)])
    objective = OBJECTIVE
    size = micro_batch or batch
    groups = [rows[start : start + size] for start in range(0, batch, size)]
    with torch.no_grad():
        losses = [float(objective(**objective.collator(group))["loss"]) * len(group) / batch for group in groups]
        total, tokens = 0.0, 0
        for rank in range(processes):
            split = Split(batch, micro_batch, processes, rank)
            parts, weights, own = packs_of(objective).update(split.rows(rows), split)
            assert parts  # a process without any would wait for the others' sums in vain
            for part, weight in zip(parts, weights, strict=True):
                total += weight * float(objective(part)["loss"])
            tokens += own
    assert total == pytest.approx(sum(losses), rel=1e-4)
    assert tokens == sum(len(row.ids) for row in rows)


def test_held_out_loss(tmp_path: Path) -> None:
    dataset, objective = dataset_in(tmp_path), replaced_lm(dropout=0)
    expected = held_out_loss(objective, dataset, MicroBatches(objective.collator), CPU, False)
    assert held_out_loss(objective, dataset, packs_of(objective), CPU, False) == pytest.approx(expected, rel=1e-5)


def test_only_what_has_a_packed_form_is_packed() -> None:
    class Variant(ReplacedLM):
        def forward(self, **batch: Tensor) -> dict[str, Tensor]:
            return {"loss": super().forward(**batch)["encoder_loss"]}

    plain = replaced_lm()
    variant = Variant(plain.model, plain.replacer, plain.collator)
    retromae = RetroMAE.build(bert(), None, PIECES, CONFIG)
    objectives = [plain, masked_lm(), variant, retromae]
    assert all(isinstance(batches_of(one, 24, CPU), MicroBatches) for one in objectives)
    with packs_on_the_cpu(True):
        assert [isinstance(batches_of(one, 24, CPU), Packs) for one in objectives] == [True, True, False, False]


@pytest.mark.parametrize("titles", [False, True])
@pytest.mark.parametrize("fixed", [False, True])
def test_vectors_of_two_lengths_from_one_encoder(tmp_path: Path, titles: bool, fixed: bool) -> None:
    """Passages, queries, and passages again: packs that hold their texts alone, and those of a GPU's one shape."""
    store = random_store(50, titles)
    retriever = BiEncoder(bert(vocabulary=100).bert, 0.02).eval()
    with packs_on_the_cpu(True):
        model = inference_copy(retriever, retriever.encoder, CPU)
        layouts = {length: inference_layout(retriever.encoder, SPECIALS, length, CPU) for length in (16, 9)}
    assert model is not retriever and inference_copy(retriever, retriever.encoder, CPU) is retriever
    found = []
    for number, length in enumerate((16, 9, 16)):
        one = tmp_path / f"padded-{number}", tmp_path / f"packed-{number}"
        padded = Inference(retriever.encode, Padded(SPECIALS), CPU)
        expected = encode_texts(padded, store, SPECIALS, one[0], length, 64, 17).read()
        shaped = Packed(Packer(SPECIALS.pad, 128, 128, 16, length, full_parts))
        packed = Inference(model.encode, shaped if fixed else layouts[length], CPU)
        found.append(encode_texts(packed, store, SPECIALS, one[1], length, 64, 17).read())
        np.testing.assert_allclose(found[-1], expected, atol=1e-5)
    assert np.array_equal(found[0], found[2]) and not np.allclose(found[0], found[1], atol=1e-3)
