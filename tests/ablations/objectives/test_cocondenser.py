"""coCondenser: how spans are cut, and its three losses against loops in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ablations.objectives.cocondenser import CoCondenser, SpanCollator, halves, span_loss, text_of
from simlm.data.inputs import passage_input
from simlm.pretraining.batch import PaddedBatch
from simlm.pretraining.objective import Example
from tests.ablations.objectives.bottleneck import masked_loop
from tests.pretraining.toys import (
    CLS,
    CONFIG,
    FIRST_ENDING,
    FIRST_WORD,
    MASK,
    PAD,
    PIECES,
    SEP,
    UNK,
    VOCABULARY,
    bert,
    exact,
    example,
    examples,
    log_softmax,
)

LENGTHS = [22, 17, 9, 30]
TEXTS = st.lists(st.integers(FIRST_WORD, len(VOCABULARY) - 1), max_size=40)


def cocondenser() -> CoCondenser:
    return CoCondenser.build(bert(layers=3), None, PIECES, CONFIG)


def batch_of() -> dict[str, Tensor]:
    rows = examples(LENGTHS, titled=True)
    rows[0].ids[12] = UNK
    return SpanCollator(PIECES, CONFIG)(rows)


def restored(batch: dict[str, Tensor]) -> list[list[int]]:
    """The spans as they were before masking, padding left away."""
    ids = batch["input_ids"].clone()
    ids[batch["masked"]] = batch["targets"]
    return [row[: int(mask.sum())].tolist() for row, mask in zip(ids, batch["attention_mask"], strict=True)]


def contrastive_loop(vectors: np.ndarray) -> float:
    """Of every span, the log probability of the other half among all spans but itself."""
    losses = []
    for span in range(len(vectors)):
        others = [other for other in range(len(vectors)) if other != span]
        partner = span + 1 if span % 2 == 0 else span - 1
        scores = np.array([vectors[span] @ vectors[other] for other in others])
        losses.append(-log_softmax(scores)[others.index(partner)])
    return float(np.mean(losses))


def test_losses_against_loops() -> None:
    model, batch = cocondenser().eval().double(), batch_of()
    outputs = model(**batch)
    with torch.no_grad():
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
        states = model.encoder.bert(**inputs, output_hidden_states=True).hidden_states
        condensed = model.condenser.condense(PaddedBatch(batch), states[1], states[3])
    assert outputs["span_loss"].item() == pytest.approx(contrastive_loop(exact(states[3][:, 0])), rel=1e-9)
    assert outputs["encoder_loss"].item() == pytest.approx(masked_loop(model, states[3], batch), rel=1e-9)
    assert outputs["head_loss"].item() == pytest.approx(masked_loop(model, condensed, batch), rel=1e-9)
    assert outputs.pop("loss").item() == pytest.approx(sum(outputs.values()).item(), rel=1e-9)


@given(passages=st.integers(1, 6), seed=st.integers(0, 2**32 - 1))
def test_span_loss_against_a_loop(passages: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(2 * passages, 5))
    assert span_loss(torch.from_numpy(vectors)).item() == pytest.approx(contrastive_loop(vectors), rel=1e-9, abs=1e-12)


def test_span_loss_of_nothing_is_nothing() -> None:
    vectors = torch.zeros(0, 5, requires_grad=True)
    loss = span_loss(vectors)
    loss.backward()
    assert loss.item() == 0


def test_span_loss_computes_in_full_precision_under_autocast() -> None:
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 64))).float()
    plain = span_loss(vectors)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(span_loss(vectors), plain)


@given(text=TEXTS)
def test_halves_meet_where_a_word_starts_nearest_the_middle(text: list[int]) -> None:
    ids = np.array(text, dtype=np.int32)
    first, second = halves(ids, PIECES)
    assert np.concatenate([first, second]).tolist() == text
    starts = [place for place in range(1, len(text)) if text[place] < FIRST_ENDING]
    if not starts:
        assert len(second) == 0
        return
    distances = [abs(place - len(text) / 2) for place in starts]
    assert len(first) == starts[int(np.argmin(distances))]


@given(title=st.one_of(st.none(), TEXTS), text=TEXTS)
def test_text_is_found_with_and_without_a_title(title: list[int] | None, text: list[int]) -> None:
    pieces = [None if part is None else np.array(part, dtype=np.int32) for part in (title, text)]
    assert pieces[1] is not None
    ids, types = passage_input(pieces[0], pieces[1], 144, PIECES.specials)
    assert text_of(Example(0, 0, ids, types)).tolist() == text


def test_spans_are_halves_between_cls_and_sep_next_to_each_other() -> None:
    rows = [example(0, 20), example(1, 12), example(2, 25, titled=True)]
    batch = SpanCollator(PIECES, CONFIG)(rows)
    spans = restored(batch)
    assert len(spans) == 6
    assert not batch["token_type_ids"].any()
    for row, first, second in zip(rows, spans[::2], spans[1::2], strict=True):
        assert (first[0], first[-1], second[0], second[-1]) == (CLS, SEP, CLS, SEP)
        title = 25 // 3 + 1 if row.types.any() else 1  # the tokens before the text
        assert first[1:-1] + second[1:-1] == row.ids[title:-1].tolist()
        assert min(len(first), len(second)) > 3


def test_special_tokens_are_never_counted() -> None:
    batch = batch_of()
    counted = batch["targets"].tolist()
    assert counted and not set(counted) & {CLS, SEP, PAD, UNK, MASK}
    assert not batch["masked"][:, 0].any()
    assert not (batch["masked"] & ~batch["attention_mask"].bool()).any()


def test_a_text_that_cannot_be_cut_is_no_pair() -> None:
    rows = examples(LENGTHS)
    rows.insert(1, example(9, 3))  # [CLS] word [SEP]
    model = cocondenser().eval().double()
    batch = model.collator(rows)
    assert batch["paired"].tolist() == [True, True, False, False] + [True] * 6
    assert restored(batch)[2:4] == [rows[1].ids.tolist(), [CLS, SEP]]
    with_it, without = model(**batch), model(**model.collator(examples(LENGTHS)))
    assert with_it["span_loss"].item() == pytest.approx(without["span_loss"].item(), rel=1e-9)
    assert with_it["encoder_loss"].item() != pytest.approx(without["encoder_loss"].item(), rel=1e-6)
    alone = model(**model.collator([rows[1]]))
    assert alone["span_loss"].item() == 0 and alone["encoder_loss"].item() > 0
