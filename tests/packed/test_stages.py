"""What stages do where there is no padding, against what they do where there is: training, encoding, scoring."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ablations.objectives.retromae import RetroMAE
from simlm.finetuning.biencoder import BiEncoder
from simlm.packed.inference import packed_encoder
from simlm.packed.inputs import pack
from simlm.packed.objective import PackedObjective
from simlm.packed.parts import PackingCollator
from simlm.packed.training import packed_objective
from simlm.pretraining.replaced_lm import ReplacedLM
from simlm.retrieval.encode import encode_texts
from simlm.stages.training import held_out_loss
from simlm.training.batches import PacksCollator
from simlm.training.split import Split
from simlm.training.trainer import Outcome, Packed, train
from tests.packed.toys import SPECIALS
from tests.pretraining.toys import CONFIG, PIECES, bert, examples
from tests.retrieval.test_encode import random_store
from tests.training.toys import PLAN, Collator, Killed, assert_near, dataset_in, masked_lm, replaced_lm, run

CPU = torch.device("cpu")
OBJECTIVE = replaced_lm(dropout=0).eval()


def packed_form(objective: ReplacedLM) -> Packed:
    """A few packs a batch."""
    return Packed(PackedObjective(objective), PackingCollator(objective.collator, 60))


@pytest.mark.parametrize("micro_batch", [0, 3])
def test_training_without_padding_is_training_with_it(tmp_path: Path, micro_batch: int) -> None:
    """Batches of 8 as one micro-batch, or as two of 3 and one of 2; also from a checkpoint that a padded one left."""
    plan = replace(PLAN, micro_batch=micro_batch, log_every=1)
    dataset = dataset_in(tmp_path)

    def without_padding(folder: str) -> tuple[ReplacedLM, Outcome]:
        objective = replaced_lm(dropout=0)
        packed = packed_form(objective)
        work = tmp_path / folder / "work"
        return objective, train(
            objective, dataset, dataset.lengths, objective.collator, plan, work, "toy", packed=packed
        )

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


@settings(max_examples=20, deadline=None)
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
            packed = packed_form(objective)
            made = PacksCollator(packed.collate, split)(split.rows(rows))
            assert made["parts"]  # a process without any would wait for the others' sums in vain
            for part, weight in zip(made["parts"], made["weights"], strict=True):
                total += weight * float(packed.model(**part)["loss"])
            tokens += made["tokens"]
    assert total == pytest.approx(sum(losses), rel=1e-4)
    assert tokens == sum(len(row.ids) for row in rows)


def test_held_out_loss(tmp_path: Path) -> None:
    dataset, objective = dataset_in(tmp_path), replaced_lm(dropout=0)
    expected = held_out_loss(objective, dataset, CPU)
    assert held_out_loss(objective, dataset, CPU, packed_form(objective)) == pytest.approx(expected, rel=1e-5)


def test_only_what_has_a_packed_form_is_packed() -> None:
    class Variant(ReplacedLM):
        def forward(self, **batch: Tensor) -> dict[str, Tensor]:
            return {"loss": super().forward(**batch)["encoder_loss"]}

    plain = replaced_lm()
    variant = Variant(plain.model, plain.replacer, plain.collator)
    retromae = RetroMAE.build(bert(), None, PIECES, CONFIG)
    assert packed_objective(plain, 24, CPU) is not None and packed_objective(masked_lm(), 24, CPU) is not None
    assert packed_objective(variant, 24, CPU) is None and packed_objective(retromae, 24, CPU) is None


@pytest.mark.parametrize("titles", [False, True])
@pytest.mark.parametrize("fixed", [False, True])
def test_vectors_of_two_lengths_from_one_encoder(tmp_path: Path, titles: bool, fixed: bool) -> None:
    """Passages, queries, and passages again: packs that hold their texts alone, and those of a GPU's one shape."""
    store = random_store(50, titles)
    retriever = BiEncoder(bert(vocabulary=100).bert, 0.02).eval()
    packs = packed_encoder(retriever, SPECIALS.pad)
    found = []
    for number, length in enumerate((16, 9, 16)):
        one = tmp_path / f"padded-{number}", tmp_path / f"packed-{number}"
        expected = encode_texts(retriever.encode, store, SPECIALS, one[0], length, 64, 17).read()
        shape = partial(pack, filler=SPECIALS.pad, tokens=128, sequences=16, max_length=length)
        collate = shape if fixed else partial(packs.collate, max_length=length)
        found.append(encode_texts(packs, store, SPECIALS, one[1], length, 64, 17, collate=collate).read())
        np.testing.assert_allclose(found[-1], expected, atol=1e-5)
    assert np.array_equal(found[0], found[2]) and not np.allclose(found[0], found[1], atol=1e-3)
