"""SimLM's objective, beside what `tests/golden` compares with the released values: its two samples of a place."""

import torch
from torch import Tensor

from simlm.pretraining.objective import ObjectiveConfig
from simlm.pretraining.replaced_lm import NestedMaskCollator, ReplacedLM
from tests.pretraining.toys import PIECES, bert, electra, examples


def replaced_inputs(model: ReplacedLM, batch: dict[str, Tensor]) -> list[Tensor]:
    """What the encoder and the decoder read in one forward pass."""
    read: list[Tensor] = []
    handle = model.replacer.register_forward_hook(lambda *arguments: read.append(arguments[-1]))
    model(**batch)
    handle.remove()
    assert len(read) == 2
    return read


def test_the_two_samples_of_a_position_are_independent() -> None:
    setting = ObjectiveConfig(0.3, 0.3, False, 7)
    agreed, expected, count = 0, 0.0, 0
    model = ReplacedLM.build(bert(), electra(), PIECES, setting).eval()
    with torch.no_grad():
        model.replacer.generator.generator_lm_head.weight.zero_()  # one distribution at every position
        probabilities = torch.softmax(model.replacer.generator.generator_lm_head.bias.normal_(0, 1.5), dim=0)
    for epoch in range(12):
        batch = NestedMaskCollator(PIECES, setting)(examples([60] * 16, epoch))
        with torch.no_grad():
            encoder_ids, decoder_ids = replaced_inputs(model, batch)
        masked = batch["encoder_mask"]
        agreed += int((encoder_ids == decoder_ids)[masked].sum())
        count += int(masked.sum())
        expected = float(probabilities.pow(2).sum())
    deviation = (count * expected * (1 - expected)) ** 0.5
    assert abs(agreed - count * expected) < 3 * deviation
