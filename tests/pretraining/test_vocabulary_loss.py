"""The chunked cross-entropy, plain and weighted, against the whole one in float64: values and gradients."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from simlm.pretraining import vocabulary_loss as module
from simlm.pretraining.vocabulary_loss import aligned, mean_vocabulary_loss, vocabulary_loss

POSITIONS, WIDTH, WORDS = 23, 16, 50
WEIGHTED = pytest.mark.parametrize("weighted", [False, True])


def inputs(dtype: torch.dtype, weighted: bool = False) -> tuple[Tensor, nn.Linear, Tensor, Tensor | None]:
    torch.manual_seed(8)
    hidden = torch.randn(POSITIONS, WIDTH, dtype=dtype, requires_grad=True)
    output = nn.Linear(WIDTH, WORDS, dtype=dtype)
    nn.init.normal_(output.weight)
    targets = torch.randint(WORDS, (POSITIONS,))
    return hidden, output, targets, torch.rand(POSITIONS, dtype=dtype) if weighted else None


def plain(hidden: Tensor, output: nn.Linear, targets: Tensor, weights: Tensor | None, scale: float = 1) -> list[Tensor]:
    """The loss and the gradients of its multiple, in float64."""
    tensors = [tensor.detach().double().requires_grad_() for tensor in (hidden, output.weight, output.bias)]
    each = functional.cross_entropy(tensors[0] @ tensors[1].t() + tensors[2], targets, reduction="none")
    loss = (each if weights is None else each * weights.double()).sum()
    return [loss.detach(), *torch.autograd.grad(loss * scale, tensors)]


def found(hidden: Tensor, output: nn.Linear, loss: Tensor, scale: float = 1) -> list[Tensor]:
    (loss * scale).backward()
    grads = [tensor.grad for tensor in (hidden, output.weight, output.bias)]
    assert all(grad is not None and grad.dtype == hidden.dtype for grad in grads)
    return [loss.detach(), *grads]  # type: ignore[list-item]


@WEIGHTED
@pytest.mark.parametrize("chunk", [1, 7, 512])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_values_and_gradients(
    dtype: torch.dtype, tolerance: float, chunk: int, weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK", chunk)
    monkeypatch.setattr(module, "PACKED_CHUNK", chunk)
    hidden, output, targets, weights = inputs(dtype, weighted)
    loss = vocabulary_loss(hidden, output, targets, weights)
    assert loss.dtype == dtype
    for ours, theirs in zip(
        found(hidden, output, loss, 0.37), plain(hidden, output, targets, weights, 0.37), strict=True
    ):
        torch.testing.assert_close(ours.double(), theirs, atol=tolerance, rtol=tolerance)


@WEIGHTED
def test_autocast_to_bfloat16_stays_near(weighted: bool) -> None:
    hidden, output, targets, weights = inputs(torch.float32, weighted)
    with torch.autocast("cpu", torch.bfloat16):
        loss = vocabulary_loss(hidden, output, targets, weights)
    assert loss.dtype == torch.float32
    for ours, theirs in zip(found(hidden, output, loss), plain(hidden, output, targets, weights), strict=True):
        assert (ours.double() - theirs).norm() / theirs.norm() < 2**-6  # bfloat16 keeps 8 bits


@WEIGHTED
def test_large_logits_do_not_overflow(weighted: bool) -> None:
    hidden, output, targets, weights = inputs(torch.float32, weighted)
    loss = vocabulary_loss(hidden * 1e4, output, targets, weights)
    torch.testing.assert_close(loss.double(), plain(hidden * 1e4, output, targets, weights)[0], atol=0, rtol=1e-5)


@WEIGHTED
def test_no_position_counts(weighted: bool) -> None:
    hidden, output, targets, weights = inputs(torch.float32, weighted)
    loss = vocabulary_loss(hidden[:0], output, targets[:0], None if weights is None else weights[:0])
    loss.backward()
    assert loss.item() == 0
    assert output.weight.grad is not None and not output.weight.grad.any()


@WEIGHTED
def test_only_what_needs_a_gradient_gets_one(weighted: bool) -> None:
    hidden, output, targets, weights = inputs(torch.float64, weighted)
    output.requires_grad_(False)
    loss = vocabulary_loss(hidden, output, targets, weights)
    loss.backward()
    torch.testing.assert_close(hidden.grad, plain(hidden, output, targets, weights)[1])
    with torch.no_grad():
        value = vocabulary_loss(hidden, output, targets, weights)
    assert not value.requires_grad and torch.equal(value, loss)


def test_second_order_gradients_are_refused() -> None:
    hidden, output, targets, _ = inputs(torch.float64)
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    loss = vocabulary_loss(hidden, output, targets) * scale
    (gradient,) = torch.autograd.grad(loss, hidden, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("count", [0, 1, POSITIONS])
def test_mean_is_the_sum_over_the_number_of_positions(count: int) -> None:
    hidden, output, targets, _ = inputs(torch.float64)
    mean = mean_vocabulary_loss(hidden[:count], output, targets[:count])
    total = plain(hidden[:count], output, targets[:count], None)[0]
    assert mean.item() == pytest.approx(total.item() / count if count else 0.0, rel=1e-12)


def test_words_added_for_alignment_have_no_probability() -> None:
    output = nn.Linear(WIDTH, WORDS)
    matrix, bias = aligned(output.weight, output.bias, torch.bfloat16)
    assert matrix.shape == (64, WIDTH) and bias.shape == (64,)
    logits = functional.linear(torch.randn(5, WIDTH).bfloat16(), matrix, bias)
    assert (logits.softmax(dim=1)[:, WORDS:] == 0).all()
    assert aligned(output.weight, output.bias, torch.float32)[0].shape == (WORDS, WIDTH)
