"""The bottleneck model: what its decoder reads, and what its two sides share."""

import pytest
import torch
from torch import Tensor, nn

from simlm.data.inputs import batch_inputs
from simlm.errors import UserError
from simlm.pretraining.model import BottleneckModel
from simlm.pretraining.vocabulary_loss import head_loss
from tests.pretraining.toys import PIECES, VOCABULARY, bert, examples


@pytest.fixture
def batch() -> dict[str, Tensor]:
    rows = examples([20, 13, 9], titled=True)
    return batch_inputs([(row.ids, row.types) for row in rows], PIECES.specials)


def exact_model() -> BottleneckModel:
    """In float64 and without dropout, so that equal means equal to the last digits."""
    return BottleneckModel(bert(layers=3)).double().eval()


def loss_of(model: BottleneckModel, hidden: Tensor, targets: Tensor, counted: Tensor) -> Tensor:
    return head_loss(model.encoder, hidden[counted], targets[counted])


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


def test_encode_is_the_plain_encoder(batch: dict[str, Tensor]) -> None:
    model = exact_model()
    hidden = model.encode(**batch)
    assert torch.equal(hidden, model.encoder.bert(**batch).last_hidden_state)


def test_position_0_is_the_cls_vector_and_token_i_has_position_i(batch: dict[str, Tensor]) -> None:
    model = exact_model()
    ids = decoder_tokens(batch)
    cls = model.encode(**batch)[:, 0]
    seen = seen_by_the_first_layer(model, cls, ids, batch["attention_mask"])
    assert torch.equal(seen[:, 0], cls)
    embeddings = model.encoder.bert.embeddings
    places = torch.arange(ids.shape[1])
    expected = embeddings.LayerNorm(
        embeddings.word_embeddings(ids)
        + embeddings.position_embeddings(places)[None]
        + embeddings.token_type_embeddings(torch.zeros_like(ids))
    )
    torch.testing.assert_close(seen[:, 1:], expected[:, 1:], atol=1e-12, rtol=0)


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


def test_values_do_not_depend_on_padding(batch: dict[str, Tensor]) -> None:
    model = exact_model()
    ids = decoder_tokens(batch)
    padded = {name: nn.functional.pad(tensor, (0, 8)) for name, tensor in batch.items()}
    padded["input_ids"] = torch.where(padded["attention_mask"].bool(), padded["input_ids"], 9)
    more = nn.functional.pad(ids, (0, 8), value=11)
    hidden, wide = model.encode(**batch), model.encode(**padded)
    decoded = model.decode(hidden[:, 0], ids, batch["attention_mask"])
    decoded_wide = model.decode(wide[:, 0], more, padded["attention_mask"])
    real = batch["attention_mask"].bool()
    length = real.shape[1]
    torch.testing.assert_close(wide[:, :length][real], hidden[real], atol=1e-12, rtol=0)
    torch.testing.assert_close(decoded_wide[:, :length][real], decoded[real], atol=1e-12, rtol=0)
    alone = model.decode(hidden[2:, 0], ids[2:, :9], batch["attention_mask"][2:, :9])
    torch.testing.assert_close(alone[0], decoded[2, :9], atol=1e-12, rtol=0)


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
    loss_of(model, decoded, batch["input_ids"], mask.bool()).backward()
    optimizer.step()
    assert torch.equal(before, model.encode(**batch))
    for ours, theirs in zip(model.decoder, encoder_layers, strict=True):
        assert not torch.equal(ours.intermediate.dense.weight, theirs.intermediate.dense.weight)
        assert theirs.intermediate.dense.weight.grad is None


def test_shared_parts_get_gradients_from_both_sides(batch: dict[str, Tensor]) -> None:
    model = BottleneckModel(bert())
    head, embeddings = model.encoder.cls.predictions, model.encoder.bert.embeddings
    shared = [
        embeddings.word_embeddings.weight,
        embeddings.position_embeddings.weight,
        embeddings.LayerNorm.weight,
        head.transform.dense.weight,
        head.bias,
    ]
    counted = batch["attention_mask"].bool()
    hidden = model.encode(**batch)
    decoded = model.decode(hidden[:, 0].detach(), decoder_tokens(batch), batch["attention_mask"])
    sides = [
        torch.autograd.grad(loss_of(model, states, batch["input_ids"], counted), shared, retain_graph=True)
        for states in (hidden, decoded)
    ]
    assert all(gradient.abs().max() > 1e-6 for side in sides for gradient in side)
    (
        loss_of(model, hidden, batch["input_ids"], counted) + loss_of(model, decoded, batch["input_ids"], counted)
    ).backward()
    for weight, first, second in zip(shared, *sides, strict=True):
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad, first + second)


def test_decoder_loss_reaches_the_encoder_through_cls(batch: dict[str, Tensor]) -> None:
    model = BottleneckModel(bert())
    decoded = model.decode(model.encode(**batch)[:, 0], decoder_tokens(batch), batch["attention_mask"])
    loss_of(model, decoded, batch["input_ids"], batch["attention_mask"].bool()).backward()
    gradient = model.encoder.bert.encoder.layer[0].intermediate.dense.weight.grad
    assert gradient is not None and gradient.abs().max() > 0


def test_a_shallow_encoder_is_refused() -> None:
    with pytest.raises(UserError, match="has 1 layers, the decoder copies its last 2"):
        BottleneckModel(bert(layers=1))
