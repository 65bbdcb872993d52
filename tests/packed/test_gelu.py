"""The short GELU against the error function."""

import math

import pytest
import torch

from simlm.packed.gelu import Gelu, normal

VALUES = torch.linspace(-12, 12, 9_601, dtype=torch.float64)


def test_the_normal_distribution() -> None:
    below, density = normal(VALUES.float())
    wanted = torch.tensor([0.5 * math.erfc(-value / math.sqrt(2)) for value in VALUES.tolist()], dtype=torch.float64)
    assert float((below - wanted).abs().max()) < 3e-7
    assert torch.allclose(density.double(), torch.exp(-(VALUES**2) / 2) / math.sqrt(2 * math.pi), atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("compiled", [False, True])
def test_values_and_gradients(dtype: torch.dtype, compiled: bool) -> None:
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
