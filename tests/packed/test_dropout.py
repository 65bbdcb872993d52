"""Dropout by a hash: how many values stay, that places and draws are independent, and what gradients are."""

import pytest
import torch
from scipy.stats import chisquare

from simlm.packed.dropout import HashedDropout, hash_key, kept

SHAPE = torch.Size([4_000, 96])


def draw(seed: int, rate: float) -> torch.Tensor:
    torch.manual_seed(seed)
    return kept(SHAPE, hash_key(torch.empty(0)), rate)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5])
def test_each_value_stays_as_often(rate: float) -> None:
    stays = draw(1, rate)
    for dim in (0, 1):
        counts = stays.sum(dim=dim).double()
        trials = SHAPE[dim]
        normal = (counts - trials * (1 - rate)) / (trials * rate * (1 - rate)) ** 0.5
        assert float(normal.abs().max()) < 6
        assert abs(float(normal.std()) - 1) < 0.3
    assert abs(float(stays.double().mean()) - (1 - rate)) < 4 * (rate * (1 - rate) / SHAPE.numel()) ** 0.5


def test_neighbours_and_draws_are_independent() -> None:
    first, second = draw(2, 0.5).long(), draw(3, 0.5).long()
    for one, other in (
        (first, second),
        (first[1:], first[:-1]),
        (first[:, 1:], first[:, :-1]),
        (first[64:], first[:-64]),
    ):
        counts = torch.bincount((2 * one + other).flatten(), minlength=4)
        assert chisquare(counts.numpy()).pvalue > 1e-4


@pytest.mark.parametrize("compiled", [False, True])
def test_values_and_gradients(compiled: bool) -> None:
    module = HashedDropout(0.25)
    if compiled:
        module.compile(backend="aot_eager")
    values = torch.randn(SHAPE, requires_grad=True)
    torch.manual_seed(4)
    result = module(values)
    stays = result != 0
    assert torch.allclose(result[stays], values[stays] / 0.75)
    result.sum().backward()
    assert values.grad is not None and torch.allclose(values.grad, stays / 0.75)
    torch.manual_seed(4)
    assert torch.equal(module(values), result)
    assert not torch.equal(module(values), result)
    assert torch.equal(module.eval()(values), values)
