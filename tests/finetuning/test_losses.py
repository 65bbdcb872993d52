"""The losses, beside what `tests/golden` compares with the released values: gradients, precision, shapes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from simlm.finetuning.losses import contrastive_loss, distillation_loss, r_drop_listwise_loss


def values(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def unit(*shape: int, seed: int) -> Tensor:
    return torch.nn.functional.normalize(values(*shape, seed=seed), dim=-1)


@pytest.mark.parametrize(
    ("loss", "inputs"),
    [
        (lambda queries, passages: contrastive_loss(queries, passages, 0.2), (unit(3, 4, seed=3), unit(6, 4, seed=4))),
        (r_drop_listwise_loss, (values(4, 5, seed=1), values(4, 5, seed=2))),
        (lambda student: distillation_loss(student, values(4, 5, seed=4)), (values(4, 5, seed=3),)),
    ],
    ids=["contrastive", "R-Drop", "distillation"],
)
def test_the_gradient_fits_the_loss(loss: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
    assert torch.autograd.gradcheck(loss, [one.clone().requires_grad_() for one in inputs])


def test_the_contrastive_loss_of_one_query_is_cross_entropy() -> None:
    query, passages = unit(1, 6, seed=1), unit(4, 6, seed=2)
    expected = torch.nn.functional.cross_entropy(query @ passages.T / 0.1, torch.tensor([0]))
    torch.testing.assert_close(contrastive_loss(query, passages, 0.1), expected)


def test_the_contrastive_loss_ignores_autocast() -> None:
    queries, passages = unit(4, 64, seed=5).float(), unit(8, 64, seed=6).float()
    with torch.autocast("cpu", torch.bfloat16):
        inside = contrastive_loss(queries, passages, 0.02)
    assert inside.dtype == torch.float32 and torch.equal(inside, contrastive_loss(queries, passages, 0.02))


def test_passages_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="7 passages"):
        contrastive_loss(unit(3, 4, seed=0), unit(7, 4, seed=0), 1.0)
