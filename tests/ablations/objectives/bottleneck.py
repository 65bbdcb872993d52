"""What the tests of objectives over the bottleneck model share: a batch, what each side reads, where gradients fall."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simlm.pretraining.replaced_lm import NestedMaskCollator
from tests.pretraining.toys import CLS, CONFIG, MASK, PAD, PIECES, SEP, UNK, exact, examples, log_softmax

SPECIALS = (CLS, SEP, PAD, UNK, MASK)


def special_batch() -> dict[str, Tensor]:
    """Titled passages of several lengths in which every special token occurs."""
    rows = examples([22, 17, 9, 30], titled=True)
    rows[0].ids[4] = UNK
    rows[1].ids[10] = MASK  # spelled out by the text
    rows[3].ids[20] = PAD  # as well
    return NestedMaskCollator(PIECES, CONFIG)(rows)


def ordinary(batch: dict[str, Tensor]) -> Tensor:
    """True (B, L) where the original token is not special."""
    return torch.tensor([[token not in SPECIALS for token in row] for row in batch["input_ids"].tolist()])


def word_loss(objective: Any, hidden: Tensor, ids: Tensor, places: Tensor) -> float:
    """Mean of -log softmax[original token] over ``places`` (B, L), one position after the other, in float64."""
    logits = exact(objective.encoder.cls(hidden))  # (B, L, V)
    losses = []
    for row in range(len(ids)):
        for position in range(ids.shape[1]):
            if places[row, position]:
                losses.append(-log_softmax(logits[row, position])[int(ids[row, position])])
    return float(np.mean(losses))


def masked_loop(model: Any, states: Tensor, batch: dict[str, Tensor]) -> float:
    """Mean of -log softmax over the masked positions, one after the other, from ``states`` in float64."""
    head = model.encoder.cls.predictions
    weight, bias = exact(head.decoder.weight), exact(head.decoder.bias)
    rows = exact(head.transform(states))
    targets = iter(batch["targets"].tolist())
    losses = []
    for row, line in enumerate(batch["masked"].tolist()):
        for position, masked in enumerate(line):
            if masked:
                losses.append(-log_softmax(weight @ rows[row, position] + bias)[next(targets)])
    assert next(targets, None) is None
    return float(np.mean(losses))


def tokens_read(objective: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The tokens (B, L) that the encoder and the decoder embed in one forward pass."""
    read: list[Tensor] = []
    embeddings: nn.Module = objective.encoder.bert.embeddings
    handle = embeddings.register_forward_pre_hook(
        lambda _, positional, named: read.append(named["input_ids"].clone()), with_kwargs=True
    )
    objective(**batch)
    handle.remove()
    encoder_ids, decoder_ids = read
    return encoder_ids, decoder_ids


def gradient_places(objective: Any, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """True (B, L) where the loss has a gradient at the encoder's and at the decoder's last states."""
    states: list[Tensor] = []

    def keep(module: nn.Module, arguments: object, output: Tensor) -> None:
        output.retain_grad()
        states.append(output)

    last_layers = (objective.encoder.bert.encoder.layer[-1], objective.model.decoder[-1])
    handles = [layer.output.register_forward_hook(keep) for layer in last_layers]
    objective(**batch)["loss"].backward()
    for handle in handles:
        handle.remove()
    encoder, decoder = (state.grad for state in states)
    assert encoder is not None and decoder is not None
    return (encoder != 0).any(dim=2), (decoder != 0).any(dim=2)


@contextmanager
def perturbed(objective: Any, start: int, stop: int | None) -> Iterator[None]:
    """The encoder's last states of positions ``start`` to ``stop`` are moved."""

    def perturb(module: nn.Module, arguments: object, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, start:stop] += 0.5
        return output

    handle = objective.encoder.bert.encoder.layer[-1].output.register_forward_hook(perturb)
    yield
    handle.remove()


def assert_decoder_sees_cls_alone(objective: Any, batch: dict[str, Tensor], decoder: str = "decoder_loss") -> None:
    """The decoder's loss depends on the encoder's [CLS] alone, the encoder's own on all but that."""
    before = objective(**batch)
    with perturbed(objective, 1, None):
        others = objective(**batch)
    with perturbed(objective, 0, 1):
        cls = objective(**batch)
    assert torch.equal(others[decoder], before[decoder]) and not torch.equal(cls[decoder], before[decoder])
    if decoder != "loss":
        assert torch.equal(cls["encoder_loss"], before["encoder_loss"])
        assert not torch.equal(others["encoder_loss"], before["encoder_loss"])
