"""Dropout by a hash: how many values stay, that places and draws are independent; GELU against the error function."""

import math

import pytest
import torch
from scipy.stats import chisquare

from simlm.packed.fast_layers import Gelu, HashedDropout, hash_key, kept, normal

SHAPE = torch.Size([4_000, 96])
VALUES = torch.linspace(-12, 12, 9_601, dtype=torch.float64)


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
def test_dropped_values_and_gradients(compiled: bool) -> None:
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


def test_the_normal_distribution() -> None:
    below, density = normal(VALUES.float())
    wanted = torch.tensor([0.5 * math.erfc(-value / math.sqrt(2)) for value in VALUES.tolist()], dtype=torch.float64)
    assert float((below - wanted).abs().max()) < 3e-7
    assert torch.allclose(density.double(), torch.exp(-(VALUES**2) / 2) / math.sqrt(2 * math.pi), atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("compiled", [False, True])
def test_gelu_and_its_gradients(dtype: torch.dtype, compiled: bool) -> None:
    values = VALUES.to(dtype).requires_grad_()
    module = Gelu()
    if compiled:
        module.compile(backend="aot_eager")
    result = module(values)
    exact = values.detach().double().requires_grad_()
    wanted = torch.nn.functional.gelu(exact)
    above = torch.linspace(-1, 1, len(VALUES)).to(dtype)
    result.backward(above)
    wanted.backward(above.double())
    bound = {"atol": 2e-6, "rtol": 1e-6 if dtype == torch.float32 else 2**-8}
    assert torch.allclose(result.double(), wanted, **bound)
    assert values.grad is not None and exact.grad is not None
    assert torch.allclose(values.grad.double(), exact.grad, **bound)
