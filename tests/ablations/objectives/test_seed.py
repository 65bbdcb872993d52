"""SEED: what its decoder sees, and its losses against loops in float64."""

import numpy as np
import pytest
import torch

from ablations.objectives.seed import SEED, SPAN, seen_positions
from tests.ablations.objectives.bottleneck import masked_loop
from tests.pretraining.toys import CONFIG, PIECES, bert, exact, examples, log_softmax

LENGTHS = [22, 17, 9, 30]


def seed() -> SEED:
    return SEED.build(bert(), None, PIECES, CONFIG).eval().double()


def test_a_position_sees_itself_those_before_it_in_its_span_and_cls() -> None:
    seen = seen_positions(9)
    for row in range(9):
        assert seen[row].nonzero().flatten().tolist() == sorted({0, *range(max(0, row - SPAN + 1), row + 1)})


def test_losses_against_loops() -> None:
    model = seed()
    batch = model.collator(examples(LENGTHS, titled=True))
    outputs = model(**batch)
    with torch.no_grad():
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
        hidden = model.encoder.bert(**inputs).last_hidden_state
        logits = log_softmax(exact(model.encoder.cls(model.decode(hidden[:, 0], batch["original_ids"]))))
    losses = []
    for row, (ids, mask) in enumerate(zip(batch["original_ids"], batch["attention_mask"], strict=True)):
        for place in range(1, int(mask.sum())):
            if int(ids[place]) not in PIECES.specials:
                losses.append(-logits[row, place - 1, int(ids[place])])
    assert outputs["decoder_loss"].item() == pytest.approx(float(np.mean(losses)), rel=1e-9)
    assert outputs["encoder_loss"].item() == pytest.approx(masked_loop(model, hidden, batch), rel=1e-9)
    assert outputs.pop("loss").item() == pytest.approx(sum(outputs.values()).item(), rel=1e-9)


def test_the_decoder_does_not_look_ahead_nor_further_back_than_its_layers_reach() -> None:
    """But for [CLS], which reaches every position."""
    model = seed()
    ids = model.collator(examples([30]))["original_ids"]
    cls = torch.randn(1, 32, dtype=torch.float64)
    place, reach = 12, len(model.decoder) * (SPAN - 1)
    changed = ids.clone()
    changed[0, place] = 5 + (ids[0, place] - 4) % 20
    with torch.no_grad():
        before, after = model.decode(cls, ids), model.decode(cls, changed)
        other = model.decode(cls + 1, ids)
    differs = (before != after).any(dim=2)[0].nonzero().flatten().tolist()
    assert differs == list(range(place, place + reach + 1))
    assert (before != other).any(dim=2).all()
