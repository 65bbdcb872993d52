"""The weighted vocabulary loss against a loop in float64, and with words added for alignment."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from simlm.packed import vocabulary
from simlm.packed.vocabulary import aligned, weighted_vocabulary_loss
from tests.packed.toys import relative_error


def case(rows: int = 37, dtype: torch.dtype = torch.float32):
    torch.manual_seed(0)
    hidden, output = torch.randn(rows, 16, dtype=dtype, requires_grad=True), nn.Linear(16, 50).to(dtype)
    return hidden, output, torch.randint(50, (rows,)), torch.rand(rows, dtype=dtype)


def expected(hidden, output, targets, weights):
    hidden, weight, bias = (tensor.detach().double().requires_grad_() for tensor in (hidden, *output.parameters()))
    total = torch.zeros((), dtype=torch.float64)
    for state, target, share in zip(hidden, targets, weights.double(), strict=True):
        logits = weight @ state + bias
        total = total - share * (logits[target] - logits.exp().sum().log())
    return total, torch.autograd.grad(total, (hidden, weight, bias))


@pytest.mark.parametrize("chunk", [8, 8_192])
def test_value_and_gradients_against_a_loop(chunk: int, monkeypatch) -> None:
    monkeypatch.setattr(vocabulary, "CHUNK", chunk)
    hidden, output, targets, weights = case()
    total, wanted = expected(hidden, output, targets, weights)
    loss = weighted_vocabulary_loss(hidden, output, targets, weights)
    assert loss.item() == pytest.approx(total.item(), rel=1e-6)
    got = torch.autograd.grad(3 * loss, (hidden, output.weight, output.bias))
    assert all(relative_error(one, 3 * other) < 1e-5 for one, other in zip(got, wanted, strict=True))


def test_bfloat16_is_within_a_hundredth() -> None:
    hidden, output, targets, weights = case(200)
    total, wanted = expected(hidden, output, targets, weights)
    with torch.autocast("cpu", torch.bfloat16):
        loss = weighted_vocabulary_loss(hidden, output, targets, weights)
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(total.item(), rel=2e-3)
    got = torch.autograd.grad(loss, (hidden, output.weight, output.bias))
    assert all(relative_error(one, other) < 1e-2 for one, other in zip(got, wanted, strict=True))


def test_words_added_for_alignment_have_no_probability() -> None:
    output = nn.Linear(16, 50)
    matrix, bias = aligned(output.weight, output.bias, torch.bfloat16)
    assert matrix.shape == (64, 16) and bias.shape == (64,)
    assert (functional.linear(torch.randn(5, 16).bfloat16(), matrix, bias).softmax(dim=1)[:, 50:] == 0).all()
    assert aligned(output.weight, output.bias, torch.float32)[0].shape == (50, 16)


def test_nothing_counted_costs_nothing() -> None:
    hidden, output, targets, weights = case(0)
    loss = weighted_vocabulary_loss(hidden, output, targets, weights)
    loss.backward()
    assert loss.item() == 0 and output.weight.grad.abs().sum() == 0
