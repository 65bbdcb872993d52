"""Whatever the layout of a batch, the bi-encoder's losses and gradients are those of one padded pass."""

import copy

import pytest
import torch
from torch import Tensor

from simlm.finetuning.biencoder import BiEncoder, BiEncoderBatch, BiEncoderCollator, BiEncoderGroup
from simlm.packed.forwards import prepare
from simlm.packed.pack import Packer
from simlm.packed.texts import Layout, Packed, Padded, by_length, trim
from tests.packed.toys import PACKERS, PASSAGES, SPECIALS, assert_near, gradients, padded, padded_texts, row
from tests.pretraining.toys import PAD, bert

QUERIES = [row(100 + number, 3 + number) for number in range(4)]
TEACHER = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
LAYOUTS = {
    "padded": Padded(SPECIALS),
    "in pieces by length": Padded(SPECIALS, pieces=3),
    "in chunks": Padded(SPECIALS, chunk=5),
    "text by text": Padded(SPECIALS, pieces=3, chunk=1),
    "one pack": Packed(PACKERS[0]),
    "one pack, filled up": Packed(PACKERS[1]),
    "several packs": Packed(Packer(PAD, 60)),
    "text by text, filled up": Packed(Packer(PAD, 10, round_to=64, max_length=40)),
}
CACHED = ("in chunks", "text by text", "several packs")


def biencoder(alpha: float | None = None, dropout: float = 0.0) -> BiEncoder:
    model = BiEncoder(bert(dropout=dropout).bert, 0.05, alpha)
    prepare(model, compiled=False)
    return model


def batch_in(layout: Layout, teacher: Tensor | None = None) -> BiEncoderBatch:
    known = [None] * 4 if teacher is None else list(teacher.numpy())
    return BiEncoderCollator(layout)(
        [BiEncoderGroup(QUERIES[i], PASSAGES[3 * i : 3 * i + 3], known[i]) for i in range(4)]
    )


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("alpha", [None, 0.2])
def test_losses_and_gradients(alpha: float | None, name: str) -> None:
    scores = None if alpha is None else TEACHER
    whole, batch = batch_in(LAYOUTS["padded"], scores), batch_in(LAYOUTS[name], scores)
    assert batch.tokens == whole.tokens == sum(len(ids) for ids, _ in [*QUERIES, *PASSAGES])
    plain = BiEncoder(bert().bert, 0.05, alpha)
    expected, model = plain(whole), biencoder(alpha)
    outputs = model(batch)
    assert outputs.keys() == expected.keys()
    for key in outputs.keys() - {"reciprocal_ranks"}:
        assert outputs[key].item() == pytest.approx(expected[key].item(), rel=1e-5), key
    assert torch.equal(outputs["reciprocal_ranks"], expected["reciprocal_ranks"])
    assert_near(gradients(model, outputs["loss"]), gradients(plain, expected["loss"]))


@pytest.mark.parametrize("name", CACHED)
def test_the_second_pass_draws_the_dropout_of_the_first(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of which one is held at a time, against the same with their activations kept."""
    model, batch = biencoder(0.2, dropout=0.3), batch_in(LAYOUTS[name], TEACHER)
    torch.manual_seed(5)
    cached = model(batch)["loss"]
    found, after = gradients(model, cached), torch.rand(3)
    monkeypatch.setattr("simlm.packed.texts.checkpoint", lambda forward, *given, use_reentrant: forward(*given))
    torch.manual_seed(5)
    kept = model(batch)["loss"]
    assert torch.equal(kept, cached)
    assert_near(gradients(model, kept), found, relative=1e-6)
    assert torch.equal(torch.rand(3), after)  # the random state is that of one pass


@pytest.mark.parametrize("name", CACHED)
def test_activations_are_kept_of_one_piece_at_most(name: str) -> None:
    model = biencoder()
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}

    def held(batch: BiEncoderBatch) -> int:
        """Numbers that are kept for the backward pass, the weights left out."""
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model(batch)
        return sum(size for place, size in kept.items() if place not in own)

    assert held(batch_in(LAYOUTS[name])) < held(batch_in(LAYOUTS["padded"])) / 3


@pytest.mark.parametrize("name", CACHED)
def test_nothing_is_computed_twice_without_gradients(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simlm.packed.texts.checkpoint", None)
    with torch.no_grad():
        assert biencoder()(batch_in(LAYOUTS[name]))["loss"].isfinite()


@pytest.mark.parametrize("name", ["in pieces by length", "one pack, filled up"])
def test_texts_that_are_taken_are_those_texts(name: str) -> None:
    model, texts = biencoder().eval(), LAYOUTS[name].texts(PASSAGES, keep_rows=True)
    places = torch.tensor([7, 0, 7, 11])
    assert len(texts) == len(PASSAGES) and len(texts.take(places)) == 4
    torch.testing.assert_close(texts.take(places).apply(model.encode), texts.apply(model.encode)[places])


def test_pieces_are_cut_to_their_longest_row() -> None:
    seen: list[tuple[int, ...]] = []

    def forward(inputs: object) -> Tensor:
        assert isinstance(inputs, dict)
        seen.append(tuple(inputs["input_ids"].shape))
        return inputs["attention_mask"].sum(dim=1)

    inputs = padded([row(number, length) for number, length in enumerate((20, 3, 8, 2))])
    assert by_length(forward, inputs, 2).tolist() == [20, 3, 8, 2]
    assert seen == [(2, 8), (2, 24)]  # widths are multiples of 8
    assert trim(inputs)["input_ids"].shape == (4, 24)


def test_batches_move_with_all_that_they_hold() -> None:
    batch = batch_in(LAYOUTS["several packs"], TEACHER).to("meta")
    assert batch.teacher_scores is not None and batch.teacher_scores.is_meta
    (texts,) = batch.texts
    assert len(texts.packs) > 1 and all(one.input_ids.is_meta for one in texts.packs)  # type: ignore[attr-defined]
    assert copy.copy(padded_texts(QUERIES)).to("meta").inputs["input_ids"].is_meta
