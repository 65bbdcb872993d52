"""The bi-encoder, beside what `tests/golden` compares with the released values: encoders, temperature, ties."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertModel,
    ElectraConfig,
    ElectraModel,
    PreTrainedModel,
    RobertaConfig,
    RobertaModel,
)

from simlm.finetuning.biencoder import BiEncoder, BiEncoderBatch
from simlm.finetuning.losses import reciprocal_ranks
from simlm.packed.cls_pooling import cls_states
from simlm.packed.texts import PaddedTexts
from tests.packed.toys import assert_near, gradients

Padded = Callable[[list[int]], dict[str, Tensor]]
LENGTHS = [5, 19, 3, 11, 8, 2, 17]


def batch_of(queries: dict[str, Tensor], passages: dict[str, Tensor], teacher: Tensor | None = None) -> BiEncoderBatch:
    return BiEncoderBatch((PaddedTexts(queries), PaddedTexts(passages, pieces=2)), len(queries["input_ids"]), teacher)


def encoders() -> list[PreTrainedModel]:
    size: dict[str, Any] = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    size |= {"intermediate_size": 24, "max_position_embeddings": 40}
    torch.manual_seed(4)
    return [
        BertModel(BertConfig(**size | {"attn_implementation": "eager"}), add_pooling_layer=False),
        BertModel(BertConfig(**size | {"attn_implementation": "sdpa"}), add_pooling_layer=False),
        ElectraModel(ElectraConfig(**size, embedding_size=8)),
        RobertaModel(RobertaConfig(**size, pad_token_id=0, type_vocab_size=2), add_pooling_layer=False),
    ]


@pytest.mark.parametrize("number", range(4))
def test_cls_states_equal_the_whole_encoder(number: int, padded: Padded) -> None:
    encoder = encoders()[number].eval()
    inputs = padded(LENGTHS)
    whole = encoder(**inputs).last_hidden_state[:, 0]
    states = cls_states(encoder, inputs)
    torch.testing.assert_close(states, whole, atol=1e-6, rtol=0)
    assert_near(gradients(encoder, states.pow(3).sum()), gradients(encoder, whole.pow(3).sum()))


def test_vectors_are_float32_under_autocast(bert: BertModel, padded: Padded) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert BiEncoder(bert.eval(), 0.1).encode(padded(LENGTHS)).dtype == torch.float32


def test_dropout_reaches_every_part_of_the_last_layer(bert: BertModel, padded: Padded) -> None:
    bert.train()
    inputs = padded(LENGTHS)
    for module in bert.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    torch.testing.assert_close(cls_states(bert, inputs), cls_states(bert, inputs), atol=0, rtol=0)
    for name in ("attention.self.dropout", "attention.output.dropout", "output.dropout"):
        dropout = bert.encoder.layer[-1].get_submodule(name)
        assert isinstance(dropout, nn.Dropout)
        dropout.p = 0.5
        assert not torch.equal(cls_states(bert, inputs), cls_states(bert, inputs))
        dropout.p = 0.0


def test_the_temperature_warms_up_in_both_losses(bert: BertModel, padded: Padded) -> None:
    model = BiEncoder(bert, 0.02, alpha=0.5, temperature_warmup=1000).eval()
    multipliers = {0: 1, 1: 1, 19: 1, 20: 1, 21: 1.05, 500: 25, 999: 49.95, 1000: 50, 30_000: 50}
    queries, passages = model.encode(padded([4, 6])), model.encode(padded([5, 9, 3, 8, 7, 6]))
    teacher = torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, 1.0]])
    for done, multiplier in multipliers.items():
        model.begin_update(done)
        assert (
            1 / model.current_temperature
            == pytest.approx(max(1, 50 * min(1, done / 1000)))
            == pytest.approx(multiplier)
        )
        found = model.losses(queries, passages, teacher)
        plain = BiEncoder(bert, 1 / multiplier, alpha=0.5).losses(queries, passages, teacher)
        torch.testing.assert_close(found["loss"], plain["loss"], rtol=1e-5, atol=1e-6)
    steady = BiEncoder(bert, 0.02)
    for done in (0, 7):
        steady.begin_update(done)
        assert steady.current_temperature == 0.02


def test_alpha_and_teacher_come_together_in_training(bert: BertModel, padded: Padded) -> None:
    queries, passages = padded([4, 5]), padded([9, 12])
    with pytest.raises(ValueError, match="no alpha"):
        BiEncoder(bert, 0.1)(batch_of(queries, passages, torch.zeros(2, 1)))
    distilled = BiEncoder(bert, 0.1, alpha=0.2)
    with pytest.raises(ValueError, match="trains with teacher scores"):
        distilled(batch_of(queries, passages))
    assert distilled.eval()(batch_of(queries, passages))["loss"].isfinite()


def test_reciprocal_ranks_by_hand() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    passages = torch.tensor([[0.6, 0.8], [0.9, 0.1], [0.0, 0.5], [0.1, 0.7], [1.0, 0.9], [0.6, 0.0]])
    # Query 0 scores .6 .9 0 .1 1 .6: rank 3, as the equal passage at row 5 comes after.
    # Query 1 scores .8 .1 .5 .7 .9 0 and its positive is row 3: rank 3.
    assert reciprocal_ranks(queries, passages, 3).tolist() == pytest.approx([1 / 3, 1 / 3])
    # As a second process that holds only query 1.
    assert reciprocal_ranks(queries[1:], passages, 3, first=3).tolist() == pytest.approx([1 / 3])
