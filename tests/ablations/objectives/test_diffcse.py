"""DiffCSE: its two losses against loops in float64, and what makes its readings differ."""

import numpy as np
import pytest
import torch

from ablations.objectives.diffcse import DETECTION_WEIGHT, DROPOUT, TEMPERATURE, DiffCSE
from simlm.pretraining.batch import PaddedBatch
from tests.ablations.objectives.test_paired import loop
from tests.pretraining.toys import CONFIG, PIECES, bert, electra, exact, examples


def diffcse() -> DiffCSE:
    return DiffCSE.build(bert(), electra(), PIECES, CONFIG)


def test_losses_against_loops() -> None:
    model = diffcse().eval().double()
    batch = model.collator(examples([22, 17, 9, 30], titled=True))
    outputs = model(**batch)
    with torch.no_grad():
        read = PaddedBatch(batch).replaced(model.replacer, "encoder")
        hidden = model.model.encode(*(batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")))
        logits = exact(model.head(model.model.decode(hidden[:, 0], read, batch["attention_mask"])))[..., 0]
    losses = []
    for row, place in np.argwhere(batch["counted"].numpy()):
        sign = 1 if read[row, place] != batch["input_ids"][row, place] else -1
        losses.append(np.log1p(np.exp(-sign * logits[row, place])))
    vectors = exact(hidden[:, 0])
    assert outputs["detection_loss"].item() == pytest.approx(float(np.mean(losses)), rel=1e-9)
    assert outputs["contrastive_loss"].item() == pytest.approx(loop(vectors, vectors, TEMPERATURE, True), rel=1e-9)
    total = outputs["contrastive_loss"] + DETECTION_WEIGHT * outputs["detection_loss"]
    assert outputs["loss"].item() == pytest.approx(total.item(), rel=1e-9)


def test_the_two_readings_differ_by_dropout_at_every_scale() -> None:
    model = diffcse()
    assert {module.p for module in model.encoder.modules() if isinstance(module, torch.nn.Dropout)} == {DROPOUT}
    assert {module.p for module in model.model.decoder.modules() if isinstance(module, torch.nn.Dropout)} == {DROPOUT}
    batch = model.collator(examples([22, 17, 9, 30]))
    same = model.eval()(**batch)["contrastive_loss"]
    assert model.train()(**batch)["contrastive_loss"] != same
