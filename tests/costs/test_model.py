"""Arithmetic and weights against torch's own count of a model's operations, and against published numbers."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, BertForMaskedLM, ElectraConfig, ElectraForMaskedLM

from simlm.costs.model import BERT_BASE, ELECTRA_GENERATOR, Model, pretraining_flop

TEXTS, LENGTH = 3, 16
SIZES = {"vocab_size": 500, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
BERT = BertConfig(**SIZES, hidden_size=64)
ELECTRA = ElectraConfig(**SIZES, hidden_size=32, embedding_size=64)


def counted(model: torch.nn.Module, backward: bool = False) -> float:
    """Return torch's count of a pass over some texts, with logits at every position."""
    ids = torch.randint(5, 500, (TEXTS, LENGTH))
    with FlopCounterMode(display=False) as counter:
        logits = model(input_ids=ids).logits
        if backward:
            logits.sum().backward()
    return float(counter.get_total_flops())


@pytest.mark.parametrize("model", [BertForMaskedLM(BERT), ElectraForMaskedLM(ELECTRA)], ids=["BERT", "ELECTRA"])
def test_a_forward_pass_has_the_operations_that_torch_counts(model: torch.nn.Module) -> None:
    """To 2%: what is left out is as good as nothing, such as biases."""
    sizes = Model.of(model.config.to_dict())  # type: ignore[union-attr, operator]
    tokens = TEXTS * LENGTH
    expected = sizes.forward(tokens, LENGTH) + sizes.head(tokens)
    assert counted(model) == pytest.approx(expected, rel=0.02)


def test_a_training_has_three_times_the_operations_of_a_forward_pass() -> None:
    """To 2%: no gradient of the first layer's input is needed, but embeddings are no matrix product either."""
    tokens = TEXTS * LENGTH
    expected = pretraining_flop(Model.of(BERT.to_dict()), tokens, LENGTH, tokens, 0, None, 0)
    assert counted(BertForMaskedLM(BERT), backward=True) == pytest.approx(expected, rel=0.02)


def test_decoder_and_generator_are_added() -> None:
    alone = pretraining_flop(BERT_BASE, 7_500, 75, 7_300, 0, None, 0)
    decoded = pretraining_flop(BERT_BASE, 7_500, 75, 7_300, 2, None, 0)
    layers = (decoded - alone) / 3 - BERT_BASE.head(7_300)
    assert layers == pytest.approx(BERT_BASE.forward(7_500, 75) / 6)
    filled = pretraining_flop(BERT_BASE, 7_500, 75, 7_300, 2, ELECTRA_GENERATOR, 6_000)
    assert filled - decoded == 2 * ELECTRA_GENERATOR.forward(7_500, 75) + ELECTRA_GENERATOR.head(6_000)
    assert filled / 7_500 == pytest.approx(145.6e12 / 150_979, rel=0.01), "a token, as in reports/performance.json"


def test_weights_are_those_of_the_models() -> None:
    """BERT-base is known to have 110 million; of small models biases and norms are more than a hundredth."""
    assert pytest.approx(109.5e6, rel=0.01) == BERT_BASE.weights
    for model, config, tolerance in ((BertForMaskedLM(BERT), BERT, 0.1), (ElectraForMaskedLM(ELECTRA), ELECTRA, 0.1)):
        body = [len(one.flatten()) for name, one in model.named_parameters() if "cls" not in name and "gen" not in name]
        assert Model.of(config.to_dict()).weights == pytest.approx(sum(body), rel=tolerance)
