"""Packed equals padded: the re-ranker's scores and losses with their gradients, whole or in parts, and its dropout."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import ElectraForSequenceClassification

from simlm.data.inputs import Encoded
from simlm.finetuning.losses import r_drop_listwise_loss
from simlm.finetuning.reranker import Reranker, reranker_from_encoder
from simlm.packed.forwards import prepare
from simlm.packed.packer import Packer
from simlm.packed.reranker import PackedReranker, RerankerPacker
from simlm.training.batches import PacksCollator
from simlm.training.split import Split
from tests.packed.toys import PACKERS, PASSAGES, assert_near, filled, gradients, padded, row
from tests.pretraining.toys import bert


def rerankers(dropout: float = 0.0) -> tuple[Reranker, PackedReranker]:
    torch.manual_seed(4)
    model: ElectraForSequenceClassification = reranker_from_encoder(bert(dropout=dropout).bert)
    other = PackedReranker(copy.deepcopy(model))
    prepare(other, compiled=False)
    return Reranker(model), other


RERANKERS = rerankers()


def in_groups(rows: list[Encoded], size: int) -> list[list[Encoded]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def test_reranker_scores() -> None:
    model, other = rerankers()
    assert torch.allclose(other.eval().score(filled(PASSAGES)), model.eval().score(padded(PASSAGES)), atol=1e-6)


@pytest.mark.parametrize("max_tokens", [10_000, 150, 1])
@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("keep", [2, 3, 9])
def test_reranker_loss(keep: int, packer: Packer, max_tokens: int) -> None:
    """Of three groups of four, of which all or some are kept, in one part or in several."""
    model, other = rerankers()
    expected = model(padded(PASSAGES), group_size=4, keep=keep)
    parts = RerankerPacker(packer, keep, max_tokens)(in_groups(PASSAGES, 4))
    assert len(parts) == {10_000: 1, 1: 3}.get(max_tokens, len(parts))
    outputs = [other(part) for part in parts]
    assert torch.allclose(torch.cat([one["scores"] for one in outputs]), expected["scores"], atol=1e-6)
    loss, accuracy = (sum(one[name] for one in outputs) for name in ("loss", "accuracy"))
    assert loss.item() == pytest.approx(expected["loss"].item(), rel=1e-5)
    assert accuracy.item() == pytest.approx(expected["accuracy"].item())
    assert sum(part.tokens for part in parts) == sum(len(ids) for ids, _ in PASSAGES)
    assert_near(gradients(other, loss), gradients(model, expected["loss"]))
    assert other.training


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(st.integers(3, 30), min_size=5, max_size=5), min_size=1, max_size=8),
    st.integers(2, 6),
    st.integers(60, 500),
)
def test_a_part_holds_no_more_than_it_is_allowed(lengths: list[list[int]], keep: int, max_tokens: int) -> None:
    """Whichever pairs are kept: at most a group more, and each group once and in its order."""
    groups = [[row(length, length) for length in group] for group in lengths]
    most = [2 * (group[0] + sum(sorted(group[1:])[-(keep - 1) :])) for group in lengths]
    parts = RerankerPacker(PACKERS[0], keep, max_tokens)(groups)
    assert [len(ids) for part in parts for ids, _ in part.rows] == [length for group in lengths for length in group]
    start = 0
    for part in parts:
        own = most[start : start + len(part.rows) // 5]
        assert sum(own[:-1]) <= max_tokens and part.share == pytest.approx(len(own) / len(lengths))
        assert (part.choosing == ()) == (keep >= 5)
        start += len(own)
    assert start == len(lengths)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 7), st.integers(1, 4), st.sampled_from([60, 400]))
def test_processes_share_a_batch_of_the_re_ranker(batch: int, processes: int, max_tokens: int) -> None:
    """The weighted losses of all processes add up to the padded mean over queries, also where they come out uneven."""
    groups = [[row(10 * number + i, 4 + (7 * number + 5 * i) % 17) for i in range(4)] for number in range(batch)]
    model, other = RERANKERS
    with torch.no_grad():
        expected = model(padded([pair for group in groups for pair in group]), 4, 3)["loss"].item()
        total, tokens = 0.0, 0
        for rank in range(processes):
            split = Split(batch, -(-batch // processes), processes, rank)
            made = PacksCollator(RerankerPacker(PACKERS[0], 3, max_tokens), split)(split.rows(groups))
            assert made["parts"]
            total += sum(
                weight * other(**part)["loss"].item()
                for part, weight in zip(made["parts"], made["weights"], strict=True)
            )
            tokens += made["tokens"]
    assert total == pytest.approx(expected, rel=1e-5)
    assert tokens == sum(len(ids) for group in groups for ids, _ in group)


def test_keeping_the_positive_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="keep 1"):
        RerankerPacker(PACKERS[0], 1)(in_groups(PASSAGES, 4))


def test_r_drop_draws_twice_and_the_choosing_pass_never(monkeypatch: pytest.MonkeyPatch) -> None:
    model, other = rerankers(dropout=0.3)
    expected = model.eval().score(padded(PASSAGES))
    seen: list[Tensor] = []
    score = PackedReranker.score
    monkeypatch.setattr(PackedReranker, "score", lambda self, one: seen.append(score(self, one)) or seen[-1])
    (part,) = RerankerPacker(PACKERS[0], 3)(in_groups(PASSAGES, 4))
    outputs = other(part)
    choosing, both = seen
    assert torch.allclose(choosing, expected, atol=1e-6) and not choosing.requires_grad
    passes = both.view(2, 3, 3)
    assert not torch.equal(passes[0], passes[1])
    assert torch.equal(outputs["loss"], r_drop_listwise_loss(passes[0], passes[1]))


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
    told: list[float] = []
    real = nn.functional.scaled_dot_product_attention

    def recorded(*arguments: Tensor, **options: object) -> Tensor:
        told.append(options["dropout_p"])  # type: ignore[arg-type]
        return real(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", recorded)
    other.score(filled(PASSAGES))
    other.eval().score(filled(PASSAGES))
    assert told == [0.25, 0.25, 0.0, 0.0]


def test_gradients_reach_every_weight_under_autocast() -> None:
    """Weights that the choosing pass has cast are cast again where they learn."""
    _, other = rerankers()
    (part,) = RerankerPacker(PACKERS[1], 3)(in_groups(PASSAGES, 4))
    with torch.autocast("cpu", torch.bfloat16):
        loss = other(part)["loss"]
    assert gradients(other, loss).keys() == dict(other.named_parameters()).keys()


def test_parts_move_with_all_that_they_hold() -> None:
    (part,) = RerankerPacker(PACKERS[0], 3)(in_groups(PASSAGES, 4))
    moved = part.to("meta")
    assert moved.choosing[0].cu_seq_lens.device.type == "meta"
    assert all(one[0] is other[0] for one, other in zip(moved.rows, PASSAGES, strict=True))
