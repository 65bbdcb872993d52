"""Packed equals padded: hidden states, [CLS] states and their gradients, of BERT and ELECTRA encoders."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import RobertaConfig, RobertaModel

from simlm.packed.cls_pooling import cls_states
from simlm.packed.forwards import Body, has_packed_form, hidden_states, prepare
from simlm.packed.pack import Pack, pack
from tests.packed.toys import PAD, assert_near, filled, gradients, padded, row, rows_of
from tests.pretraining.toys import bert, electra


def both(kind: str) -> tuple[Body, Body]:
    """A body for padded rows, and its copy for packs."""
    body = bert().bert if kind == "bert" else electra().electra
    other = copy.deepcopy(body)
    prepare(other, compiled=False)
    return body, other


def weighed(states: Tensor) -> Tensor:
    """A scalar that tells every state from every other, (tokens, H)."""
    weights = torch.randn(states.shape, generator=torch.Generator().manual_seed(3))
    return (states * weights).sum()


@pytest.mark.parametrize("make", [lambda rows: pack(rows, PAD), filled])
@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_hidden_states_and_gradients(kind: str, make) -> None:
    body, other = both(kind)
    rows = rows_of()
    inputs, packed = padded(rows), make(rows)
    expected = body(**inputs).last_hidden_state[inputs["attention_mask"].bool()]
    states = hidden_states(other, packed)[0, : packed.tokens]
    assert_near({"states": states}, {"states": expected})
    assert_near(gradients(other, weighed(states)), gradients(body, weighed(expected)))


@pytest.mark.parametrize("make", [lambda rows: pack(rows, PAD), filled])
@pytest.mark.parametrize("kind", ["bert", "electra"])
def test_cls_states_and_gradients(kind: str, make) -> None:
    body, other = both(kind)
    rows = rows_of()
    expected, states = cls_states(body, padded(rows)), cls_states(other, make(rows))
    assert_near({"states": states}, {"states": expected})
    assert_near(gradients(other, weighed(states)), gradients(body, weighed(expected)))


def test_transformers_own_forward_takes_the_boundaries_too() -> None:
    _, other = both("bert")
    packed = pack(rows_of(), PAD)
    inputs = {"input_ids": packed.input_ids, "token_type_ids": packed.token_type_ids}
    whole = other(**inputs, position_ids=packed.position_ids, **packed.bounds).last_hidden_state
    assert torch.equal(whole, hidden_states(other, packed))


def test_other_encoders_read_no_packs() -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    other = RobertaModel(RobertaConfig(vocab_size=20, **sizes), add_pooling_layer=False)
    assert not has_packed_form(other) and has_packed_form(bert().bert) and has_packed_form(electra().electra)
    with pytest.raises(TypeError, match="reads no packs"):
        cls_states(other, pack(rows_of(), PAD))


lengths = st.lists(st.integers(2, 40), max_size=6)


@settings(max_examples=20, deadline=None)
@given(before=lengths, after=lengths, length=st.integers(2, 40), seed=st.integers(0, 1_000))
def test_a_vector_does_not_depend_on_its_neighbours(
    before: list[int], after: list[int], length: int, seed: int
) -> None:
    _, body = both("bert")
    mine = row(seed, length)
    others = [row(seed + 1 + number, size) for number, size in enumerate([*before, *after])]
    with torch.no_grad():
        alone = cls_states(body.eval(), pack([mine], PAD))[0]
        beside = cls_states(body, pack([*others[: len(before)], mine, *others[len(before) :]], PAD))[len(before)]
    assert torch.allclose(alone, beside, rtol=1e-5, atol=1e-5)


def test_dropout_is_drawn_in_training_only() -> None:
    body = bert(dropout=0.5).bert
    prepare(body, compiled=False)
    packed: Pack = pack(rows_of(), PAD)
    assert not torch.equal(cls_states(body, packed), cls_states(body, packed))
    body.eval()
    assert torch.equal(cls_states(body, packed), cls_states(body, packed))
