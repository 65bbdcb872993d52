"""Packed attention against a loop in float64, and layers that still take padded rows."""

import copy

import torch
from torch import Tensor

from simlm.packed.attention import attend, use_packed_attention
from tests.packed.toys import padded, rows_of
from tests.pretraining.toys import bert


def loop(query: Tensor, key: Tensor, value: Tensor, query_bounds: Tensor, key_bounds: Tensor) -> Tensor:
    """One sequence and one head after the other."""
    output = torch.zeros_like(query)
    for number in range(len(query_bounds) - 1):
        mine = slice(int(query_bounds[number]), int(query_bounds[number + 1]))
        keys = slice(int(key_bounds[number]), int(key_bounds[number + 1]))
        if keys.start == keys.stop:
            continue
        for head in range(query.shape[1]):
            scores = query[mine, head] @ key[keys, head].t() * 0.3
            output[mine, head] = scores.softmax(dim=1) @ value[keys, head]
    return output


def test_attention_against_a_loop() -> None:
    torch.manual_seed(0)
    query, key, value = (torch.randn(length, 3, 8, dtype=torch.float64) for length in (9, 16, 16))
    query_bounds = torch.tensor([0, 4, 5, 9, 9], dtype=torch.int32)
    key_bounds = torch.tensor([0, 7, 9, 16, 16], dtype=torch.int32)
    result = attend(query, key, value, query_bounds, key_bounds, 4, 8, 0.0, 0.3)
    assert torch.allclose(result, loop(query, key, value, query_bounds, key_bounds), atol=1e-12)


def test_a_query_without_a_key_gets_nothing() -> None:
    states = torch.randn(3, 1, 4, requires_grad=True)
    bounds = torch.tensor([0, 3, 3], dtype=torch.int32)
    query = torch.randn(2, 1, 4, requires_grad=True)
    result = attend(query, states, states, torch.tensor([0, 1, 2], dtype=torch.int32), bounds, 1, 3, 0.0, None)
    assert torch.equal(result[1], torch.zeros(1, 4))
    result.sum().backward()
    assert query.grad is not None and torch.isfinite(query.grad).all()


def test_without_boundaries_layers_take_padded_rows_as_before() -> None:
    model = bert().eval()
    packed = copy.deepcopy(model)
    use_packed_attention(packed)
    inputs = padded(rows_of())
    assert torch.equal(packed.bert(**inputs).last_hidden_state, model.bert(**inputs).last_hidden_state)
