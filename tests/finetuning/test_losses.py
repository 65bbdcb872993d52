"""The losses against loops in Python's own float64."""

import math

import pytest
import torch
from torch import Tensor

from simlm.finetuning.losses import contrastive_loss, distillation_loss, r_drop_listwise_loss


def unit(*shape: int, seed: int) -> Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(values, dim=-1)


def log_softmax(scores: list[float]) -> list[float]:
    top = max(scores)
    total = math.log(sum(math.exp(score - top) for score in scores)) + top
    return [score - total for score in scores]


def dot(a: Tensor, b: Tensor) -> float:
    return math.fsum(x * y for x, y in zip(a.tolist(), b.tolist(), strict=True))


def contrastive_loop(queries: Tensor, passages: Tensor, temperature: float) -> float:
    batch, group = len(queries), len(passages) // len(queries)
    losses = []
    for i in range(batch):
        positive = passages[i * group]
        terms = [dot(queries[i], passage) / temperature for passage in passages]
        for j in range(batch):
            if j != i:
                terms.append(dot(queries[j], positive) / temperature)
                terms.append(dot(queries[j], queries[i]) / temperature)
                terms.append(dot(passages[j * group], positive) / temperature)
        assert len(terms) == batch * group + 3 * (batch - 1)
        losses.append(log_softmax(terms)[i * group])
    return -sum(losses) / batch


@pytest.mark.parametrize(("batch", "group"), [(1, 4), (3, 1), (5, 4)])
def test_contrastive_loss_equals_a_loop(batch: int, group: int) -> None:
    queries, passages = unit(batch, 6, seed=1), unit(batch * group, 6, seed=2)
    expected = contrastive_loop(queries, passages, 0.1)
    assert contrastive_loss(queries, passages, 0.1).item() == pytest.approx(expected, abs=1e-12)
    in_float32 = contrastive_loss(queries.float(), passages.float(), 0.1)
    assert in_float32.dtype == torch.float32
    assert in_float32.item() == pytest.approx(expected, abs=1e-5)


def test_contrastive_gradient_fits_the_loss() -> None:
    queries, passages = unit(3, 4, seed=3).requires_grad_(), unit(6, 4, seed=4).requires_grad_()
    assert torch.autograd.gradcheck(lambda q, p: contrastive_loss(q, p, 0.2), (queries, passages))


def test_contrastive_loss_ignores_autocast() -> None:
    queries, passages = unit(4, 64, seed=5).float(), unit(8, 64, seed=6).float()
    with torch.autocast("cpu", torch.bfloat16):
        inside = contrastive_loss(queries, passages, 0.02)
    assert torch.equal(inside, contrastive_loss(queries, passages, 0.02))


def test_contrastive_loss_rejects_passages_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="7 passages"):
        contrastive_loss(unit(3, 4, seed=0), unit(7, 4, seed=0), 1.0)


def scores(batch: int, group: int, seed: int) -> Tensor:
    return 3 * torch.randn(batch, group, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def kl(p: list[float], q: list[float]) -> float:
    return math.fsum(math.exp(a) * (a - b) for a, b in zip(p, q, strict=True))


def test_r_drop_equals_a_loop_and_has_gradient_through_both_passes() -> None:
    first, second = scores(4, 5, seed=1).requires_grad_(), scores(4, 5, seed=2).requires_grad_()
    expected = 0.0
    for row_a, row_b in zip(first.tolist(), second.tolist(), strict=True):
        a, b = log_softmax(row_a), log_softmax(row_b)
        expected += (-a[0] - b[0]) / 2 + 0.5 * (kl(a, b) + kl(b, a))
    assert r_drop_listwise_loss(first, second).item() == pytest.approx(expected / 4, abs=1e-12)
    assert torch.autograd.gradcheck(r_drop_listwise_loss, (first, second))


def test_distillation_equals_a_loop() -> None:
    student, teacher = scores(4, 5, seed=3), scores(4, 5, seed=4)
    rows = zip(student.tolist(), teacher.tolist(), strict=True)
    expected = sum(kl(log_softmax(row_teacher), log_softmax(row_student)) for row_student, row_teacher in rows) / 4
    assert distillation_loss(student, teacher).item() == pytest.approx(expected, abs=1e-12)
    assert torch.autograd.gradcheck(lambda table: distillation_loss(table, teacher), student.requires_grad_())


def test_distillation_of_a_student_that_agrees_is_zero() -> None:
    teacher = scores(2, 3, seed=5)
    assert distillation_loss(teacher + 7.0, teacher).item() == pytest.approx(0.0, abs=1e-12)
