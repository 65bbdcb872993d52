"""What every objective is put through alike: it is found by name, trains what it should, and refuses other models."""

import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM

from ablations.starts import COMPARED, JOINT, RTD
from simlm.errors import UserError
from simlm.pretraining.objective import OBJECTIVES, Objective, ObjectiveConfig, find_objective
from simlm.stages.models import HEAD_MLM
from tests.pretraining.toys import CONFIG, PIECES, UNK, VOCABULARY, bert, electra, example, examples

# A head's own training is MLM's with the encoder frozen (tests/pretraining/test_corpus_pieces.py).
OWN = [name for name in OBJECTIVES if name != HEAD_MLM]
PATHS = [*OWN, *(one.path for one in COMPARED.values() if ":" in one.path), JOINT, RTD]
HEADLESS = [path for path in PATHS if any(name in path for name in ("rtd", "diffcse", "inverse_cloze", "cropping"))]
"""BERT's MLM head has no part in their loss."""
LEARNS: dict[str, tuple[dict[str, float], int, int]] = {
    "mlm": ({"loss": 0.7}, 20, 60),
    "replaced_lm": ({"encoder_loss": 0.7, "decoder_loss": 0.7}, 20, 60),
    "sentence_order": ({"word_loss": 0.9, "order_loss": 0.85}, 30, 90),
    "autoencoder": ({"loss": 0.7}, 20, 60),
    "enc_dec_mlm": ({"loss": 0.7}, 20, 60),
    "condenser": ({"encoder_loss": 0.7, "head_loss": 0.7}, 20, 60),
    "cocondenser": ({"encoder_loss": 0.9, "head_loss": 0.8, "span_loss": 0.2}, 30, 60),
    "retromae": ({"encoder_loss": 0.7, "decoder_loss": 0.7}, 20, 60),
    "seed": ({"encoder_loss": 0.7, "decoder_loss": 0.9}, 20, 60),
    "diffcse": ({"contrastive_loss": 0.5}, 20, 60),
    "inverse_cloze": ({"loss": 0.8}, 30, 60),
    "cropping": ({"loss": 0.8}, 60, 200),
    # To know no more than how many tokens are replaced brings it to 0.92 of log 2 a side.
    "enc_dec_rtd": ({"loss": 0.8}, 20, 60),
    "rtd": ({"loss": 0.8}, 20, 90),
    "joint_generator": ({"encoder_loss": 0.8, "decoder_loss": 0.8, "generator_loss": 0.8}, 20, 60),
}
"""Of each module the share of its start that losses fall below, the length of passages, and the updates."""


def module_of(path: str) -> str:
    path = OBJECTIVES.get(path, path)
    return path.partition(":")[0].rpartition(".")[2]


def built(path: str, encoder: BertForMaskedLM | None = None, seed: int = CONFIG.seed) -> Objective:
    kind = find_objective(path)
    config = ObjectiveConfig(CONFIG.encoder_rate, CONFIG.decoder_rate, CONFIG.generator_dropout, seed)
    return kind.build(encoder or bert(), electra() if kind.needs_generator else None, PIECES, config)


every = pytest.mark.parametrize("path", PATHS, ids=module_of)


@every
def test_it_keeps_the_encoder_and_says_whether_it_needs_a_generator(path: str) -> None:
    encoder = bert()
    assert built(path, encoder).encoder is encoder
    expected = {one.path: one.generator for one in COMPARED.values()} | {"ordered-mlm": False}
    expected |= dict.fromkeys(["replaced_lm", JOINT, RTD], True)
    assert find_objective(path).needs_generator is expected[path]


@pytest.mark.parametrize("path", [path for path in PATHS if path != "mlm"], ids=module_of)
def test_models_that_do_not_fit_are_refused(path: str) -> None:
    kind = find_objective(path)
    with pytest.raises(UserError, match="needs a BERT encoder"):
        kind.build(electra(), electra() if kind.needs_generator else None, PIECES, CONFIG)
    if kind.needs_generator:
        with pytest.raises(UserError, match="needs a BERT encoder and an ELECTRA generator"):
            kind.build(bert(), None, PIECES, CONFIG)
        more = len(VOCABULARY) + 1
        with pytest.raises(UserError, match=f"generator has {more} words, the encoder {len(VOCABULARY)}"):
            kind.build(bert(), electra(vocabulary=more), PIECES, CONFIG)


@every
def test_the_loss_is_trained_on_and_its_parts_are_only_shown(path: str) -> None:
    objective = built(path)
    outputs = objective(**objective.collator(examples([22, 17, 9, 30], titled=True)))
    assert outputs.pop("loss").requires_grad
    assert not any(value.requires_grad for value in outputs.values())


@every
def test_every_weight_is_trained_but_what_has_no_part(path: str) -> None:
    objective = built(path)
    objective(**objective.collator(examples([22, 17, 9, 30], titled=True)))["loss"].backward()
    frozen: set[int] = set()
    if module_of(path) in ("replaced_lm", "enc_dec_rtd", "diffcse"):
        frozen |= {id(weight) for weight in objective.replacer.parameters()}  # type: ignore[union-attr, operator]
    if path in HEADLESS:
        encoder = objective.encoder
        frozen |= {id(weight) for weight in encoder.cls.parameters()}  # type: ignore[union-attr, operator]
        frozen.remove(id(encoder.get_input_embeddings().weight))
    for name, weight in objective.named_parameters():
        assert weight.requires_grad is (id(weight) not in frozen), name
        assert (weight.grad is not None) is weight.requires_grad, name


@every
def test_masks_are_keyed_by_seed_epoch_and_passage(path: str) -> None:
    lengths = [22, 17, 9, 30]
    collate = built(path).collator
    first, again, other_epoch = (collate(examples(lengths, epoch, titled=True)) for epoch in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    other_seed = built(path, seed=8).collator(examples(lengths, titled=True))
    drawn = [name for name in first if name in ("encoder_mask", "decoder_mask", "masked", "visible")]
    for name in drawn:
        for other in (other_epoch, other_seed):
            assert other[name].shape != first[name].shape or not torch.equal(other[name], first[name])
    alone = collate([example(2, lengths[2], titled=True)])
    for name in {*drawn, "input_ids"} - {"visible"}:
        rows, width = len(alone[name]), min(lengths[2], alone[name].shape[1])  # a passage is one row, or two
        assert torch.equal(alone[name][:, :width], first[name][2 * rows : 3 * rows, :width])


@every
def test_in_bfloat16_the_loss_stays_in_single_precision_and_near(path: str) -> None:
    objective = built(path).eval()  # DiffCSE has dropout of its own
    batch = objective.collator(examples([22, 17, 9, 30], titled=True))
    expected = objective(**batch)["loss"].item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = objective(**batch)["loss"]
    loss.backward()
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(expected, rel=0.05)
    trained = [weight for weight in objective.parameters() if weight.requires_grad]
    assert trained and all(weight.grad is not None and weight.grad.isfinite().all() for weight in trained)


@pytest.mark.parametrize("path", [path for path in PATHS if path not in (RTD, "ordered-mlm")], ids=module_of)
def test_a_passage_without_any_word_costs_nothing(path: str) -> None:
    """Its loss is 0 and can be trained on. (RTD counts [CLS] and [SEP] too, and an order is always asked for.)"""
    objective, row = built(path), example(0, 6)
    row.ids[1:-1] = UNK
    loss = objective(**objective.collator([row]))["loss"]
    loss.backward()
    assert loss.item() == 0


@every
def test_it_learns(path: str) -> None:
    """Losses fall on four passages with new masks at every update."""
    shares, length, steps = LEARNS[module_of(path)]
    objective = built(path)
    optimizer = torch.optim.AdamW([weight for weight in objective.parameters() if weight.requires_grad], lr=5e-3)
    losses = []
    for step in range(steps):
        outputs = objective(**objective.collator(examples([length] * 4, epoch=step)))
        optimizer.zero_grad()
        outputs["loss"].backward()
        optimizer.step()
        losses.append([outputs[name].item() for name in shares])
    first, last = np.mean(losses[:5], axis=0), np.mean(losses[-5:], axis=0)
    assert (last < np.array(list(shares.values())) * first).all(), (first, last)
