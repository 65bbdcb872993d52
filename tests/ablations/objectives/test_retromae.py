"""RetroMAE: the mask of positions, what a row of the decoder sees, and both losses against loops in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ablations.objectives.retromae import PositionMaskCollator, RetroMAE, visible_positions
from simlm.pretraining.masking import stateless_rng
from simlm.pretraining.mlm import MaskCollator
from simlm.pretraining.objective import ObjectiveConfig
from tests.ablations.objectives.bottleneck import SPECIALS, word_loss
from tests.pretraining.toys import (
    CONFIG,
    FIRST_WORD,
    PIECES,
    UNK,
    bert,
    exact,
    example,
    examples,
    log_softmax,
)

LENGTHS = [22, 17, 9, 30]
RATES = st.floats(0, 1)
SEEDS = st.integers(0, 2**32 - 1)


def retromae() -> RetroMAE:
    return RetroMAE.build(bert(), None, PIECES, CONFIG)


def batch_of() -> dict[str, Tensor]:
    rows = examples(LENGTHS, titled=True)
    rows[0].ids[4] = UNK
    return PositionMaskCollator(PIECES, CONFIG)(rows)


def normed(rows: np.ndarray, norm: torch.nn.LayerNorm) -> np.ndarray:
    centred = rows - rows.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + norm.eps) * exact(norm.weight) + exact(
        norm.bias
    )


def linear(rows: np.ndarray, layer: torch.nn.Linear) -> np.ndarray:
    return rows @ exact(layer.weight).T + exact(layer.bias)


def decoded_position(model: RetroMAE, cls: np.ndarray, ids: list[int], visible: list[bool], place: int) -> np.ndarray:
    """The decoder's state at one position, written out in numpy from what the row sees and nothing else."""
    embeddings, layer = model.encoder.bert.embeddings, model.decoder
    words, places = exact(embeddings.word_embeddings.weight), exact(embeddings.position_embeddings.weight)
    kinds = exact(embeddings.token_type_embeddings.weight)
    seen = [other for other in range(len(ids)) if visible[other]]
    states = np.stack(
        [cls if i == 0 else normed(words[ids[i]] + places[i] + kinds[0], embeddings.LayerNorm) for i in seen]
    )
    query = cls + places[place]
    attention = layer.attention.self
    q, k, v = linear(query, attention.query), linear(states, attention.key), linear(states, attention.value)
    heads, size = attention.num_attention_heads, attention.attention_head_size
    mixed = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        mixed.append(np.exp(log_softmax(k[:, part] @ q[part] / size**0.5)) @ v[:, part])
    output = layer.attention.output
    attended = normed(linear(np.concatenate(mixed), output.dense) + query, output.LayerNorm)
    inner = exact(torch.nn.functional.gelu(torch.from_numpy(linear(attended, layer.intermediate.dense))))
    return normed(linear(inner, layer.output.dense) + attended, layer.output.LayerNorm)


def test_both_losses_against_loops_over_positions() -> None:
    model, batch = retromae().eval().double(), batch_of()
    outputs = model(**batch)
    with torch.no_grad():
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
        hidden = exact(model.encoder.bert(**inputs).last_hidden_state)
    decoded = torch.zeros(hidden.shape, dtype=torch.float64)
    for row, place in batch["counted"].nonzero().tolist():
        ids, visible = batch["original_ids"][row].tolist(), batch["visible"][row, place].tolist()
        decoded[row, place] = torch.from_numpy(decoded_position(model, hidden[row, 0], ids, visible, place))
    sides = {"encoder_loss": (torch.from_numpy(hidden), batch["masked"]), "decoder_loss": (decoded, batch["counted"])}
    for name, (states, places) in sides.items():
        expected = word_loss(model, states, batch["original_ids"], places)
        assert outputs[name].item() == pytest.approx(expected, rel=1e-9)
    assert outputs["loss"].item() == pytest.approx(outputs["encoder_loss"].item() + outputs["decoder_loss"].item())


@given(length=st.integers(1, 60), rate=RATES, seed=SEEDS)
def test_every_row_sees_cls_and_none_sees_itself(length: int, rate: float, seed: int) -> None:
    visible = visible_positions(length, rate, stateless_rng(seed))
    assert visible.shape == (length, length)
    for i in range(length):
        assert visible[i, 0]
        if i > 0:
            assert not visible[i, i]
    others = visible[:, 1:][~np.eye(length, dtype=bool)[:, 1:]]
    # Each is one draw: further from the rate than six deviations is no luck.
    spread = 6 * (len(others) * rate * (1 - rate)) ** 0.5
    assert abs(int(others.sum()) - len(others) * (1 - rate)) <= spread + 1
    assert others.all() or rate > 0
    assert not others.any() or rate < 1


def test_rows_are_drawn_apart() -> None:
    visible = visible_positions(60, 0.5, stateless_rng(1))
    rows = {tuple(row) for row in visible[:, 1:].tolist()}
    assert len(rows) == 60
    # Whether i sees j says nothing of whether j sees i: the two agree half of the time.
    pairs = np.triu_indices(59, 1)
    inner = visible[1:, 1:]
    agreed = int((inner == inner.T)[pairs].sum())
    assert abs(agreed - len(pairs[0]) / 2) < 4 * (len(pairs[0]) / 4) ** 0.5


@given(lengths=st.lists(st.integers(3, 30), min_size=1, max_size=4), epoch=st.integers(0, 1000))
def test_masks_of_a_batch(lengths: list[int], epoch: int) -> None:
    batch = PositionMaskCollator(PIECES, CONFIG)(examples(lengths, epoch))
    assert batch["visible"].any(dim=2).all()  # a row that sees nothing would have no softmax
    for row, length in enumerate(lengths):
        visible = batch["visible"][row]
        assert not visible[:, length:].any()
        assert not visible[length:, 1:].any()
        alone = PositionMaskCollator(PIECES, CONFIG)([example(row, length, epoch)])
        assert torch.equal(alone["visible"][0, :length, :length], visible[:length, :length])
        assert torch.equal(alone["masked"][0, :length], batch["masked"][row, :length])


def test_the_encoder_reads_what_masked_lm_reads() -> None:
    rows = examples(LENGTHS, titled=True)
    ours, theirs = PositionMaskCollator(PIECES, CONFIG)(rows), MaskCollator(PIECES, CONFIG)(rows)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    for row, original in zip(rows, ours["original_ids"], strict=True):
        assert original[: len(row.ids)].tolist() == row.ids.tolist()


def test_special_tokens_are_never_counted() -> None:
    batch = batch_of()
    expected = [[token not in SPECIALS for token in ids] for ids in batch["original_ids"].tolist()]
    assert batch["counted"].tolist() == expected
    assert not batch["counted"][0, 4]
    assert not (batch["masked"] & ~batch["counted"]).any()


def test_each_rate_concerns_its_own_side() -> None:
    rows = examples(LENGTHS)
    first = PositionMaskCollator(PIECES, CONFIG)(rows)
    decoder = PositionMaskCollator(PIECES, ObjectiveConfig(0.3, 0.9, False, CONFIG.seed))(rows)
    encoder = PositionMaskCollator(PIECES, ObjectiveConfig(0.1, 0.5, False, CONFIG.seed))(rows)
    assert torch.equal(decoder["masked"], first["masked"]) and decoder["visible"].sum() < first["visible"].sum()
    assert torch.equal(encoder["visible"], first["visible"]) and encoder["masked"].sum() < first["masked"].sum()


def test_a_row_depends_on_the_visible_tokens_alone_and_never_on_its_own() -> None:
    model, batch = retromae().eval().double(), batch_of()
    torch.manual_seed(0)
    cls = torch.randn(len(LENGTHS), 32, dtype=torch.float64)
    before = model.decode(cls, batch["original_ids"], batch["visible"])
    for place in range(1, max(LENGTHS)):
        ids = batch["original_ids"].clone()
        ids[:, place] = torch.where(ids[:, place] == FIRST_WORD, FIRST_WORD + 1, FIRST_WORD)
        changed = (model.decode(cls, ids, batch["visible"]) != before).any(dim=2)  # (B, L)
        assert torch.equal(changed, batch["visible"][:, :, place])
        assert not changed[:, place].any()


def test_no_gradient_of_a_row_reaches_its_own_token() -> None:
    model, batch = retromae().eval().double(), batch_of()
    embedded: list[Tensor] = []

    def keep(module: torch.nn.Module, arguments: object, output: Tensor) -> None:
        output.retain_grad()
        embedded.append(output)

    cls = torch.randn(len(LENGTHS), 32, dtype=torch.float64, requires_grad=True)
    model.encoder.bert.embeddings.register_forward_hook(keep)
    decoded = model.decode(cls, batch["original_ids"], batch["visible"])
    place = 5
    decoded[:, place].pow(2).sum().backward()
    gradient = embedded[0].grad
    assert gradient is not None and cls.grad is not None
    assert not gradient[:, place].any()
    assert not gradient[:, 0].any()  # the vector of [CLS] stands there instead
    assert gradient[:, 1:].any() and (cls.grad.abs().amax(dim=1) > 0).all()


def test_values_do_not_depend_on_how_passages_are_batched() -> None:
    model = retromae().eval()
    rows = examples(LENGTHS)
    together = model(**model.collator(rows))
    batches = [model.collator([row]) for row in rows]
    alone = [model(**batch) for batch in batches]
    for name, of in (("encoder_loss", "masked"), ("decoder_loss", "counted")):
        mean = np.average([losses[name].item() for losses in alone], weights=[int(one[of].sum()) for one in batches])
        assert together[name].item() == pytest.approx(float(mean), rel=1e-5)


def test_eager_attention_gives_the_same_loss() -> None:
    model, batch = retromae().eval().double(), batch_of()
    expected = model(**batch)["loss"].item()
    model.encoder.set_attn_implementation("eager")
    assert model(**batch)["loss"].item() == pytest.approx(expected, rel=1e-9)


def test_the_decoder_layer_is_fresh() -> None:
    model = retromae()
    assert model.decoder.intermediate.dense.weight.std().item() == pytest.approx(0.2, rel=0.1)
    last = model.encoder.bert.encoder.layer[-1]
    assert not torch.equal(model.decoder.intermediate.dense.weight, last.intermediate.dense.weight)
