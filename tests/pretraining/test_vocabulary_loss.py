"""The chunked cross-entropy against the plain one in float64, values and gradients."""

import pytest
import torch
from torch import Tensor

from simlm.pretraining.vocabulary_loss import mean_vocabulary_loss, vocabulary_loss

POSITIONS, WIDTH, WORDS = 23, 16, 50


def inputs(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(8)
    shapes = [(POSITIONS, WIDTH), (WORDS, WIDTH), (WORDS,)]
    hidden, weight, bias = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    targets = torch.randint(WORDS, (POSITIONS,), generator=generator)
    made = [tensor.to(dtype).requires_grad_() for tensor in (hidden, weight, bias)]
    return made[0], made[1], made[2], targets


def plain(hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, scale: float) -> list[Tensor]:
    """The loss and its gradients, in float64."""
    tensors = [tensor.detach().double().requires_grad_() for tensor in (hidden, weight, bias)]
    logits = tensors[0] @ tensors[1].t() + tensors[2]
    loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    return [loss.detach(), *torch.autograd.grad(loss * scale, tensors)]


@pytest.mark.parametrize("chunk", [1, 7, POSITIONS, 512])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_values_and_gradients(dtype: torch.dtype, tolerance: float, chunk: int) -> None:
    hidden, weight, bias, targets = inputs(dtype)
    loss = vocabulary_loss(hidden, weight, bias, targets, chunk)
    assert loss.dtype == dtype
    (loss * 0.37).backward()
    expected = plain(hidden, weight, bias, targets, 0.37)
    for ours, theirs in zip((loss.detach(), hidden.grad, weight.grad, bias.grad), expected, strict=True):
        assert ours is not None and ours.dtype == dtype
        torch.testing.assert_close(ours.double(), theirs, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("chunk", [5, 512])
def test_autocast_to_bfloat16_stays_near(chunk: int) -> None:
    hidden, weight, bias, targets = inputs(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss = vocabulary_loss(hidden, weight, bias, targets, chunk)
    assert loss.dtype == torch.float32
    loss.backward()
    expected = plain(hidden, weight, bias, targets, 1.0)
    for ours, theirs in zip((loss.detach(), hidden.grad, weight.grad, bias.grad), expected, strict=True):
        assert ours is not None and ours.dtype == torch.float32
        error = (ours.double() - theirs).norm() / theirs.norm()
        assert error < 2**-6  # bfloat16 keeps 8 bits


def test_large_logits_do_not_overflow() -> None:
    hidden, weight, bias, targets = inputs(torch.float32)
    loss = vocabulary_loss(hidden * 1e4, weight, bias, targets)
    expected = plain(hidden * 1e4, weight, bias, targets, 1.0)[0]
    torch.testing.assert_close(loss.double(), expected, atol=0, rtol=1e-5)


def test_no_position_counts() -> None:
    hidden, weight, bias, targets = inputs(torch.float32)
    loss = vocabulary_loss(hidden[:0], weight, bias, targets[:0])
    loss.backward()
    assert loss.item() == 0
    assert weight.grad is not None and not weight.grad.any()


def test_only_what_needs_a_gradient_gets_one() -> None:
    hidden, weight, bias, targets = inputs(torch.float64)
    loss = vocabulary_loss(hidden, weight.detach(), bias.detach(), targets)
    loss.backward()
    torch.testing.assert_close(hidden.grad, plain(hidden, weight, bias, targets, 1.0)[1])
    with torch.no_grad():
        value = vocabulary_loss(hidden, weight, bias, targets)
    assert not value.requires_grad
    assert torch.equal(value, loss)


def test_second_order_gradients_are_refused() -> None:
    hidden, weight, bias, targets = inputs(torch.float64)
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    loss = vocabulary_loss(hidden, weight, bias, targets) * scale
    (gradient,) = torch.autograd.grad(loss, hidden, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("count", [0, 1, POSITIONS])
def test_mean_is_the_sum_over_the_number_of_positions(count: int) -> None:
    hidden, weight, bias, targets = inputs(torch.float64)
    output = torch.nn.Linear(WIDTH, WORDS, dtype=torch.float64)
    output.weight, output.bias = torch.nn.Parameter(weight.detach()), torch.nn.Parameter(bias.detach())
    mean = mean_vocabulary_loss(hidden[:count], output, targets[:count])
    total = plain(hidden[:count], weight, bias, targets[:count], 1.0)[0]
    assert mean.item() == pytest.approx(total.item() / count if count else 0.0, rel=1e-12)
    mean.backward()
