"""MLM with sentence order: what is cut and swapped, and the two losses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from simlm.pretraining.sentence_order import OrderedMLM
from tests.pretraining.toys import CLS, CONFIG, PIECES, SEP, bert, exact, example, examples, log_softmax

LENGTHS = [22, 17, 9, 30]


@pytest.mark.parametrize("titled", [False, True])
def test_a_text_is_cut_where_a_word_starts_in_its_middle_and_its_parts_are_in_order_or_swapped(titled: bool) -> None:
    objective = OrderedMLM.build(bert(), None, PIECES, CONFIG)
    swaps = []
    for epoch in range(10):
        rows = examples(LENGTHS, epoch, titled)
        batch = objective.collator(rows)
        read = batch["input_ids"].clone()
        read[batch["masked"]] = batch["targets"]
        for place, row in enumerate(rows):
            text = row.ids[row.types == 1][:-2] if titled else row.ids[1:-2]  # without [SEP] and the piece it gives up
            ids = read[place][batch["attention_mask"][place].bool()].tolist()
            middle = ids.index(SEP)
            first, second = ids[1:middle], ids[middle + 1 : -1]
            assert ids == [CLS, *first, SEP, *second, SEP] and len(ids) <= len(row.ids)
            assert batch["token_type_ids"][place].tolist()[: len(ids)] == [0] * (middle + 1) + [1] * (len(second) + 1)
            swapped = bool(batch["swapped"][place, 0])
            before, after = (second, first) if swapped else (first, second)
            assert before + after == text.tolist()
            assert len(text) <= 4 * len(before) <= 3 * len(text) and not PIECES.continues[after[0]]
            swaps.append(swapped)
        assert batch["first"].nonzero().tolist() == [[place, 0] for place in range(len(rows))]
    assert 0.25 < np.mean(swaps) < 0.75


@pytest.mark.parametrize("length", [2, 3, 4])
def test_a_text_without_a_place_to_cut_can_be_read(length: int) -> None:
    objective, row = OrderedMLM.build(bert(), None, PIECES, CONFIG), example(0, 5)
    ids = np.append(row.ids[: length - 1], row.ids[-1])
    batch = objective.collator([replace(row, ids=ids, types=np.zeros(length, dtype=np.int8))])
    assert objective(**batch)["loss"].isfinite()


def test_losses_against_a_loop_over_the_plain_model() -> None:
    objective = OrderedMLM.build(bert(), None, PIECES, CONFIG).eval()
    batch = objective.collator(examples(LENGTHS, titled=True))
    losses = objective(**batch)
    model, targets = objective.model.double(), iter(batch["targets"].tolist())
    words, orders = [], []
    for place in range(len(LENGTHS)):
        inputs = {name: batch[name][[place]] for name in ("input_ids", "attention_mask", "token_type_ids")}
        hidden = model.bert(**inputs).last_hidden_state
        logits = exact(model.cls(hidden)[0])
        words += [-log_softmax(logits[at])[next(targets)] for at in batch["masked"][place].nonzero().flatten().tolist()]
        dense, last = (objective.order.double().get_submodule(number) for number in ("0", "2"))
        score = exact(last(torch.tanh(dense(hidden[:, 0])))).item()
        orders.append(np.log1p(np.exp(-score if batch["swapped"][place, 0] else score)))
    assert losses["word_loss"].item() == pytest.approx(float(np.mean(words)), rel=1e-5)
    assert losses["order_loss"].item() == pytest.approx(float(np.mean(orders)), rel=1e-5)
    assert losses["loss"].item() == pytest.approx(float(np.mean(words) + np.mean(orders)), rel=1e-5)
