"""Packed attention against a loop in float64, and layers that still take padded rows."""

import copy

import pytest
import torch
from torch import Tensor

from simlm.packed.attention import attend, packed_attention, use_packed_attention
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


@pytest.mark.parametrize("added", [False, True])
def test_attention_over_padded_rows_in_bfloat16_against_a_loop(added: bool) -> None:
    """Values, and gradients by both sides' own rule: what is rounded on the way differs by bfloat16's 4e-3."""
    torch.manual_seed(0)
    lengths = [5, 8]
    exact = [torch.randn(2, 3, 8, 8, dtype=torch.float64).bfloat16().double().requires_grad_() for _ in range(3)]
    half = [one.detach().bfloat16().requires_grad_() for one in exact]
    visible = (torch.arange(8) < torch.tensor(lengths)[:, None])[:, None, None, :]
    mask = torch.zeros(visible.shape).masked_fill(~visible, -torch.inf) if added else visible
    found = packed_attention(torch.nn.Identity(), *half, mask, scaling=0.3)[0]  # (B, L, heads, d)
    weights, total = torch.randn(2, 8, 3, 8, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for row, length in enumerate(lengths):
        bounds, keys = torch.tensor([0, 8]), torch.tensor([0, length])
        query, key, value = (one[row].transpose(0, 1) for one in exact)
        wanted = loop(query, key, value, bounds, keys)
        assert torch.allclose(found[row].double(), wanted, atol=0.03)
        total = total + (wanted * weights[row]).sum()
    total.backward()
    (found.double() * weights).sum().backward()
    for mine, other in zip(half, exact, strict=True):
        assert mine.grad is not None and other.grad is not None
        assert torch.allclose(mine.grad.double(), other.grad, atol=0.1)


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
