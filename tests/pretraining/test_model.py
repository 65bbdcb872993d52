"""The bottleneck model, beside what `tests/golden` compares with the released values: dropout, and copied layers."""

import pytest
import torch
from torch import Tensor

from simlm.data.inputs import batch_inputs
from simlm.errors import UserError
from simlm.pretraining.model import BottleneckModel
from simlm.pretraining.vocabulary_loss import head_loss
from tests.pretraining.toys import PIECES, VOCABULARY, bert, examples


@pytest.fixture
def batch() -> dict[str, Tensor]:
    rows = examples([20, 13, 9], titled=True)
    return batch_inputs([(row.ids, row.types) for row in rows], PIECES.specials)


def decoder_tokens(batch: dict[str, Tensor]) -> Tensor:
    """Other tokens than the encoder's."""
    generator = torch.Generator().manual_seed(4)
    return torch.randint(5, len(VOCABULARY), batch["input_ids"].shape, generator=generator)


def seen_by_the_first_layer(model: BottleneckModel, *inputs: Tensor) -> Tensor:
    seen: list[Tensor] = []
    handle = model.decoder[0].register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    model.decode(*inputs)
    handle.remove()
    return seen[0]


def test_decoder_input_has_dropout_but_the_cls_vector_has_none(batch: dict[str, Tensor]) -> None:
    model = BottleneckModel(bert(dropout=0.5)).train()
    ids, cls = decoder_tokens(batch), torch.randn(3, 32)
    first, second = (seen_by_the_first_layer(model, cls, ids, batch["attention_mask"]) for _ in range(2))
    assert torch.equal(first[:, 0], cls)
    assert not torch.equal(first[:, 1:], second[:, 1:])
    decoded = [model.decode(cls, ids, batch["attention_mask"]) for _ in range(2)]
    assert not torch.equal(*decoded)
    model.eval()
    decoded = [model.decode(cls, ids, batch["attention_mask"]) for _ in range(2)]
    assert torch.equal(*decoded)


def test_decoder_layers_start_as_copies_and_are_trained_apart(batch: dict[str, Tensor]) -> None:
    model = BottleneckModel(bert(layers=3))
    encoder_layers = model.encoder.bert.encoder.layer[-2:]
    assert len(model.decoder) == 2
    for ours, theirs in zip(model.decoder, encoder_layers, strict=True):
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(one, other) and one.data_ptr() != other.data_ptr()
    mask = batch["attention_mask"]
    optimizer = torch.optim.SGD(model.decoder.parameters(), lr=0.1)
    before = model.encode(**batch)
    decoded = model.decode(before[:, 0].detach(), decoder_tokens(batch), mask)
    head_loss(model.encoder, decoded[mask.bool()], batch["input_ids"][mask.bool()]).backward()
    optimizer.step()
    assert torch.equal(before, model.encode(**batch))
    for ours, theirs in zip(model.decoder, encoder_layers, strict=True):
        assert not torch.equal(ours.intermediate.dense.weight, theirs.intermediate.dense.weight)
        assert theirs.intermediate.dense.weight.grad is None


def test_a_shallow_encoder_is_refused() -> None:
    with pytest.raises(UserError, match="has 1 layers, the decoder copies its last 2"):
        BottleneckModel(bert(layers=1))
