"""Masked language modelling on a BERT encoder and on an ELECTRA generator."""

import numpy as np
import pytest
from transformers import BertModel

from simlm.errors import UserError
from simlm.pretraining.masking import nested_masks, stateless_rng
from simlm.pretraining.mlm import MaskCollator, MaskedLM
from tests.pretraining.toys import CONFIG, MASK, PIECES, UNK, bert, electra, exact, examples, log_softmax

LENGTHS = [22, 17, 9, 30]
MODELS = [pytest.param(bert, id="bert"), pytest.param(electra, id="electra")]


@pytest.mark.parametrize("make", MODELS)
def test_loss_against_a_loop_over_the_plain_model(make: type) -> None:
    objective = MaskedLM.build(make(), None, PIECES, CONFIG).eval()
    batch = objective.collator(examples(LENGTHS, titled=True))
    loss = objective(**batch)["loss"]
    model = objective.encoder.double()
    names = ("input_ids", "attention_mask", "token_type_ids")
    logits = exact(model(**{name: batch[name] for name in names}).logits)
    targets = iter(batch["targets"].tolist())
    losses = [-log_softmax(logits[place])[next(targets)] for place in map(tuple, batch["masked"].nonzero().tolist())]
    assert next(targets, None) is None
    assert loss.item() == pytest.approx(float(np.mean(losses)), rel=1e-5)


def test_every_masked_token_becomes_mask_and_is_a_target() -> None:
    rows = examples(LENGTHS, titled=True)
    rows[0].ids[4] = UNK
    batch = MaskCollator(PIECES, CONFIG)(rows)
    for place, row in enumerate(rows):
        # The mask is SimLM's encoder mask of this passage and epoch.
        rng = stateless_rng(CONFIG.seed, row.epoch, row.passage)
        mask, _ = nested_masks(row.ids, PIECES, CONFIG.encoder_rate, CONFIG.decoder_rate, rng)
        length = len(row.ids)
        assert np.array_equal(batch["masked"][place, :length].numpy(), mask)
        assert not batch["masked"][place, length:].any()
        assert np.array_equal(batch["input_ids"][place, :length].numpy(), np.where(mask, MASK, row.ids))
    expected = np.concatenate(
        [row.ids[batch["masked"][place, : len(row.ids)].numpy()] for place, row in enumerate(rows)]
    )
    assert batch["targets"].tolist() == expected.tolist()


def test_another_kind_of_model_is_refused() -> None:
    with pytest.raises(UserError, match="needs a BERT or ELECTRA masked language model, not BertModel"):
        MaskedLM.build(BertModel(bert().config), None, PIECES, CONFIG)
