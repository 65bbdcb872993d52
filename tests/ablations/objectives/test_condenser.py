"""Condenser: what the encoder and the head read, what is counted, and both losses against a loop in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ablations.objectives.condenser import Condenser, CorruptingCollator, corrupt
from simlm.pretraining.batch import PaddedBatch
from simlm.pretraining.masking import stateless_rng
from simlm.pretraining.mlm import MaskCollator
from tests.ablations.objectives.bottleneck import SPECIALS, masked_loop, outputs_moved
from tests.pretraining.toys import (
    CLS,
    CONFIG,
    FIRST_WORD,
    MASK,
    PIECES,
    SEP,
    UNK,
    VOCABULARY,
    bert,
    examples,
)

LENGTHS = [22, 17, 9, 30]


def condenser(layers: int = 4) -> Condenser:
    return Condenser.build(bert(layers=layers), None, PIECES, CONFIG)


def batch_of() -> dict[str, Tensor]:
    rows = examples(LENGTHS, titled=True)
    rows[0].ids[4] = UNK
    return CorruptingCollator(PIECES, CONFIG)(rows)


@pytest.mark.parametrize(("layers", "middle"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2)])
def test_losses_against_layers_run_one_after_the_other(layers: int, middle: int) -> None:
    model, batch = condenser(layers).eval().double(), batch_of()
    outputs = model(**batch)
    body = model.encoder.bert
    with torch.no_grad():
        hidden = body.embeddings(input_ids=batch["input_ids"], token_type_ids=batch["token_type_ids"])
        seen = batch["attention_mask"].bool()[:, None, None, :].expand(-1, 1, hidden.shape[1], -1)
        states = [hidden]
        for layer in body.encoder.layer:
            states.append(layer(states[-1], attention_mask=seen))
        condensed = states[middle].clone()
        condensed[:, 0] = states[-1][:, 0]
        for layer in model.head:
            condensed = layer(condensed, attention_mask=seen)
    assert len(model.head) == 2
    assert outputs["encoder_loss"].item() == pytest.approx(masked_loop(model, states[-1], batch), rel=1e-9)
    assert outputs["head_loss"].item() == pytest.approx(masked_loop(model, condensed, batch), rel=1e-9)
    assert outputs["loss"].item() == pytest.approx(outputs["encoder_loss"].item() + outputs["head_loss"].item())


@pytest.mark.parametrize(
    ("layer", "start", "stop", "changes"),
    [
        pytest.param(-1, 1, None, False, id="late tokens"),
        pytest.param(-1, 0, 1, True, id="late [CLS]"),
        pytest.param(1, 1, None, True, id="middle tokens"),
    ],
)
def test_what_the_head_sees(layer: int, start: int, stop: int | None, changes: bool) -> None:
    model, batch = condenser().eval().double(), batch_of()
    before, after = model(**batch), outputs_moved(model, batch, slice(start, stop), layer)
    assert torch.equal(after["head_loss"], before["head_loss"]) is not changes
    # The encoder's own loss reads the late tokens, and not its [CLS].
    assert torch.equal(after["encoder_loss"], before["encoder_loss"]) is (stop == 1)


def test_the_middle_cls_is_not_read() -> None:
    model = condenser().eval().double()
    torch.manual_seed(0)
    middle, late = torch.randn(2, 2, 8, 32, dtype=torch.float64)
    batch = PaddedBatch({"attention_mask": torch.ones(2, 8, dtype=torch.int64)})
    other_middle, other_late = middle.clone(), late.clone()
    other_middle[:, 0] += 1
    other_late[:, 1:] += 1
    assert torch.equal(model.condense(batch, middle, late), model.condense(batch, other_middle, other_late))


def test_gradients_of_the_head_reach_the_upper_layers_through_cls_alone() -> None:
    model, batch = condenser().double(), PaddedBatch(batch_of())
    middle, late = model.encode(batch)
    late.retain_grad()
    condensed = model.condense(batch, middle, late)
    condensed[batch["masked"]].pow(2).sum().backward()
    assert late.grad is not None
    assert (late.grad[:, 0].abs().amax(dim=1) > 0).all()
    assert not late.grad[:, 1:].any()


def test_head_layers_are_fresh() -> None:
    model = condenser()
    spread = model.encoder.config.initializer_range
    for layer in model.head:
        assert layer.intermediate.dense.weight.std().item() == pytest.approx(spread, rel=0.1)
        assert not layer.intermediate.dense.bias.any()
        for ours in model.encoder.bert.encoder.layer:
            assert not torch.equal(layer.intermediate.dense.weight, ours.intermediate.dense.weight)


@given(
    ids=st.lists(st.integers(0, len(VOCABULARY) - 1), min_size=1, max_size=40),
    rate=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**32 - 1),
)
def test_special_tokens_are_never_masked_and_nothing_else_changes(ids: list[int], rate: float, seed: int) -> None:
    original = np.array([CLS, *ids, SEP], dtype=np.int32)
    before = original.copy()
    read, masked = corrupt(original, PIECES, rate, stateless_rng(seed))
    assert np.array_equal(original, before)
    assert not masked[np.isin(original, SPECIALS)].any()
    assert np.array_equal(read[~masked], original[~masked])
    assert read.dtype == original.dtype


def test_of_ten_masked_tokens_eight_become_mask_one_another_and_one_stays() -> None:
    rng = stateless_rng(3)
    original = np.full(510, FIRST_WORD, dtype=np.int32)
    read = np.concatenate([corrupt(original, PIECES, 0.5, rng)[0] for _ in range(100)])
    count = 100 * 255  # the budget is met exactly: every word has one piece
    drawn = 0.1 * count / len(VOCABULARY)  # "any token" is each one equally often
    changed, as_mask = int((read != FIRST_WORD).sum()), int((read == MASK).sum())

    def near(share: float) -> float:
        return 4 * (count * share * (1 - share)) ** 0.5

    assert abs(as_mask - (0.8 * count + drawn)) < near(0.8)
    assert abs(count - changed - (0.1 * count + drawn)) < near(0.1)
    others = [int((read == token).sum()) for token in range(len(VOCABULARY)) if token not in (MASK, FIRST_WORD)]
    assert min(others) > 0.5 * drawn and max(others) < 1.5 * drawn


def test_masked_words_are_those_of_masked_lm() -> None:
    """The same words are hidden as in the MLM row, so that the two differ in the objective alone."""
    rows = examples(LENGTHS, titled=True)
    ours, theirs = CorruptingCollator(PIECES, CONFIG)(rows), MaskCollator(PIECES, CONFIG)(rows)
    for name in ("masked", "targets", "attention_mask", "token_type_ids"):
        assert torch.equal(ours[name], theirs[name])
