"""The re-ranker in any layout: scores, losses with their gradients, whole or in parts, and its dropout."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from simlm.data.inputs import Encoded
from simlm.finetuning.losses import r_drop_listwise_loss
from simlm.finetuning.reranker import Reranker, RerankerBatch, RerankerCollator
from simlm.models.load import reranker_from_encoder
from simlm.packed.forwards import prepare
from simlm.packed.pack import Packer
from simlm.packed.texts import Packed, Padded
from simlm.training.batches import Packs, Split
from tests.packed.toys import PACKERS, PAD, PASSAGES, SPECIALS, assert_near, filled, gradients, padded, row
from tests.pretraining.toys import bert


def rerankers(dropout: float = 0.0) -> tuple[Reranker, Reranker]:
    """One for padded pairs, and its copy for packs."""
    torch.manual_seed(4)
    model = Reranker(reranker_from_encoder(bert(dropout=dropout).bert))
    other = copy.deepcopy(model)
    prepare(other, compiled=False)
    return model, other


RERANKERS = rerankers()


def in_groups(rows: list[Encoded], size: int) -> list[list[Encoded]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def parts_of(groups: list[list[Encoded]], keep: int, packer: Packer = PACKERS[0]) -> list[RerankerBatch]:
    return RerankerCollator(Packed(packer), keep).parts(groups)


@pytest.mark.parametrize("max_tokens", [10_000, 150, 1])
@pytest.mark.parametrize("rounded", [{}, {"round_to": 64, "max_length": 40}], ids=["plain", "filled up"])
@pytest.mark.parametrize("keep", [2, 3, 9])
def test_losses_of_parts(keep: int, rounded: dict[str, int], max_tokens: int) -> None:
    """Of three groups of four, of which all or some are kept, in one part or in several."""
    model, other = rerankers()
    expected = model(RerankerCollator(Padded(SPECIALS, pieces=2), keep)(in_groups(PASSAGES, 4)))
    parts = parts_of(in_groups(PASSAGES, 4), keep, Packer(PAD, max_tokens, **rounded))
    assert len(parts) == {10_000: 1, 1: 3}.get(max_tokens, len(parts))
    outputs = [other(part) for part in parts]
    assert torch.allclose(torch.cat([one["scores"] for one in outputs]), expected["scores"], atol=1e-6)
    loss, accuracy = (sum(one[name] for one in outputs) for name in ("loss", "accuracy"))
    assert loss.item() == pytest.approx(expected["loss"].item(), rel=1e-5)
    assert accuracy.item() == pytest.approx(expected["accuracy"].item())
    assert sum(part.tokens for part in parts) == sum(len(ids) for ids, _ in PASSAGES)
    assert_near(gradients(other, loss), gradients(model, expected["loss"]))
    assert other.training and model.training


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.lists(st.integers(3, 30), min_size=5, max_size=5), min_size=1, max_size=8),
    st.integers(2, 6),
    st.integers(60, 500),
)
def test_a_part_holds_no_more_than_it_is_allowed(lengths: list[list[int]], keep: int, max_tokens: int) -> None:
    """Whichever pairs are kept: at most a group more, and each group once and in its order."""
    groups = [[row(length, length) for length in group] for group in lengths]
    most = [2 * (group[0] + sum(sorted(group[1:])[-(keep - 1) :])) for group in lengths]
    parts = parts_of(groups, keep, Packer(PAD, max_tokens))
    held = [[len(ids) for ids, _ in part.pairs.rows] for part in parts]  # type: ignore[attr-defined]
    assert sum(held, []) == [length for group in lengths for length in group]
    for part, rows in zip(parts, held, strict=True):
        own, most = most[: len(rows) // 5], most[len(rows) // 5 :]
        assert sum(own[:-1]) <= max_tokens and part.share == pytest.approx(len(own) / len(lengths))


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 7), st.integers(1, 4), st.sampled_from([60, 400]))
def test_processes_share_a_batch(batch: int, processes: int, max_tokens: int) -> None:
    """The weighted losses of all processes add up to the padded mean over queries, also where they come out uneven."""
    groups = [[row(10 * number + i, 4 + (7 * number + 5 * i) % 17) for i in range(4)] for number in range(batch)]
    model, other = RERANKERS
    with torch.no_grad():
        expected = model(RerankerCollator(Padded(SPECIALS), 3)(groups))["loss"].item()
        total, tokens = 0.0, 0
        for rank in range(processes):
            split = Split(batch, -(-batch // processes), processes, rank)
            collate = Packs(RerankerCollator(Packed(Packer(PAD, max_tokens)), 3).parts)
            parts, weights, own = collate.update(split.rows(groups), split)
            assert parts
            total += sum(weight * other(part)["loss"].item() for part, weight in zip(parts, weights, strict=True))
            tokens += own
    assert total == pytest.approx(expected, rel=1e-5)
    assert tokens == sum(len(ids) for group in groups for ids, _ in group)


@pytest.mark.parametrize("layout", [Padded(SPECIALS), Packed(PACKERS[0])], ids=["padded", "packed"])
def test_r_drop_draws_twice_and_the_choosing_pass_never(
    layout: Padded | Packed, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, other = rerankers(dropout=0.3)
    expected = model.eval().score(padded(PASSAGES))
    seen: list[Tensor] = []
    score = Reranker.score
    monkeypatch.setattr(Reranker, "score", lambda self, one: seen.append(score(self, one)) or seen[-1])
    outputs = other(RerankerCollator(layout, 3)(in_groups(PASSAGES, 4)))
    choosing, both = seen
    assert torch.allclose(choosing, expected, atol=1e-6) and not choosing.requires_grad
    passes = both.view(2, 3, 3)
    assert not torch.equal(passes[0], passes[1])
    assert torch.equal(outputs["loss"], r_drop_listwise_loss(passes[0], passes[1]))
    assert torch.equal(outputs["scores"], passes.mean(dim=0))


def dropouts(module: nn.Module) -> dict[str, nn.Dropout]:
    return {name: part for name, part in module.named_modules() if isinstance(part, nn.Dropout)}


def test_every_dropout_is_drawn_with_its_own_probability() -> None:
    """Of embeddings, attention, outputs and the head: each alone changes scores, and none where all are zero."""
    _, other = rerankers(dropout=0.5)
    parts = dropouts(other)
    assert len(parts) == 1 + 2 * 3 + 1  # embeddings; a layer's attention and its two outputs; the head
    for one in parts.values():
        one.p = 0.0
    pairs = filled(PASSAGES)
    assert torch.equal(other.score(pairs), other.score(pairs))
    for name, one in parts.items():
        one.p = 0.5
        assert not torch.equal(other.score(pairs), other.score(pairs)), name
        one.p = 0.0


def test_attention_drops_as_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch's attention is told, in every layer, the last one included, which is computed at [CLS] alone."""
    _, other = rerankers(dropout=0.25)
    rates: list[float] = []
    real = nn.functional.scaled_dot_product_attention

    def recorded(*arguments: Tensor, **options: object) -> Tensor:
        rates.append(options["dropout_p"])  # type: ignore[arg-type]
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", recorded)
    other.score(filled(PASSAGES))
    other.eval().score(filled(PASSAGES))
    assert rates == [0.25, 0.25, 0.0, 0.0]


@pytest.mark.parametrize("layout", [Padded(SPECIALS), Packed(PACKERS[1])], ids=["padded", "packed"])
def test_gradients_reach_every_weight_under_autocast(layout: Padded | Packed) -> None:
    """Weights that the choosing pass has cast are cast again where they learn."""
    _, other = rerankers()
    with torch.autocast("cpu", torch.bfloat16):
        loss = other(RerankerCollator(layout, 3)(in_groups(PASSAGES, 4)))["loss"]
    assert gradients(other, loss).keys() == dict(other.named_parameters()).keys()


def test_keeping_the_positive_alone_is_refused() -> None:
    for layout in (Padded(SPECIALS), Packed(PACKERS[0])):
        with pytest.raises(ValueError, match="keep 1"):
            RerankerCollator(layout, 1)(in_groups(PASSAGES, 4))
