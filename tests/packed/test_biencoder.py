"""Packed equals padded: the bi-encoder's losses with their gradients, one pack at a time or all at once."""

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from simlm.finetuning.biencoder import BiEncoder
from simlm.packed.biencoder import PackedBiEncoder, RetrieverPacker, RetrieverPacks
from simlm.packed.forwards import prepare
from simlm.packed.packer import Packer
from tests.packed.toys import PACKERS, PASSAGES, assert_near, filled, gradients, padded, row
from tests.pretraining.toys import bert

QUERIES = [row(100 + number, 3 + number) for number in range(4)]


def biencoders(alpha: float | None = None, dropout: float = 0.0) -> tuple[BiEncoder, PackedBiEncoder]:
    """One for padded texts, and its copy for packs."""
    model = BiEncoder(bert(dropout=dropout).bert, 0.05, alpha)
    other = PackedBiEncoder(copy.deepcopy(model))
    prepare(other, compiled=False)
    return model, other


def teacher() -> Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def packs(packer: Packer = PACKERS[0], max_tokens: int | None = None, scores: Tensor | None = None) -> RetrieverPacks:
    """The batch, as the collator makes it."""
    known = [None] * 4 if scores is None else list(scores.numpy())
    groups: list[Any] = [
        SimpleNamespace(query=QUERIES[i], passages=PASSAGES[3 * i : 3 * i + 3], teacher_scores=known[i])
        for i in range(4)
    ]
    (part,) = RetrieverPacker(packer, max_tokens)(groups)
    return part


@pytest.mark.parametrize("max_tokens", [None, 60, 10])
@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("alpha", [None, 0.2])
def test_bi_encoder(alpha: float | None, packer: Packer, max_tokens: int | None) -> None:
    """Contrastive and with a teacher; in one pack, and in several of which one is held at a time."""
    model, other = biencoders(alpha)
    scores = None if alpha is None else teacher()
    part = packs(packer, max_tokens, scores)
    assert (len(part.packs) == 1) == (max_tokens is None)
    assert part.tokens == sum(len(ids) for ids, _ in [*QUERIES, *PASSAGES])
    expected = model(padded(QUERIES), padded(PASSAGES), scores)
    outputs = other(part)
    assert outputs.keys() == expected.keys()
    for name in outputs.keys() - {"reciprocal_ranks"}:
        assert outputs[name].item() == pytest.approx(expected[name].item(), rel=1e-5), name
    assert torch.equal(outputs["reciprocal_ranks"], expected["reciprocal_ranks"])
    assert_near(gradients(other.biencoder, outputs["loss"]), gradients(model, expected["loss"]))


def test_the_second_pass_draws_the_dropout_of_the_first() -> None:
    """Packs of which one is held at a time, against the same with their activations kept."""
    _, other = biencoders(0.2, dropout=0.3)
    part = packs(max_tokens=60, scores=teacher())
    torch.manual_seed(5)
    cached = other(part)["loss"]
    found = gradients(other.biencoder, cached)
    torch.manual_seed(5)
    vectors = torch.cat([other.encode(one) for one in part.packs])
    loss = other.biencoder.losses(vectors[:4], vectors[4:], part.teacher_scores)["loss"]
    assert torch.equal(loss, cached)
    assert_near(gradients(other.biencoder, loss), found, relative=1e-6)


def test_no_activations_are_kept_of_several_packs() -> None:
    _, other = biencoders()

    def held(part: RetrieverPacks) -> int:
        """Numbers that are kept for the backward pass, the weights left out."""
        own = {weight.untyped_storage().data_ptr() for weight in other.parameters()}
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            other(part)
        return sum(size for place, size in kept.items() if place not in own)

    assert held(packs(max_tokens=60)) < held(packs()) / 5


def test_nothing_is_encoded_twice_without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simlm.packed.biencoder.checkpoint", None)
    _, other = biencoders()
    with torch.no_grad():
        assert other(packs(max_tokens=20))["loss"].isfinite()


def test_bi_encoder_refuses_what_the_padded_one_refuses() -> None:
    with pytest.raises(ValueError, match="trains with teacher scores"):
        biencoders(0.2)[1](packs())


def test_bi_encoder_encodes_as_the_padded_one() -> None:
    model, other = biencoders()
    assert torch.allclose(other.encode(filled(PASSAGES)), model.encode(padded(PASSAGES)), atol=1e-6)


def test_batches_move_with_all_that_they_hold() -> None:
    part = packs(max_tokens=60, scores=teacher()).to("meta")
    assert part.teacher_scores is not None and part.teacher_scores.device.type == "meta"
    assert len(part.packs) > 1 and {one.input_ids.device.type for one in part.packs} == {"meta"}
