"""What tests of objectives share: a batch, what each side reads, losses in float64, where gradients fall."""

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simlm.pretraining.replaced_lm import NestedMaskCollator
from tests.pretraining.toys import (
    CLS,
    CONFIG,
    FIRST_WORD,
    MASK,
    PAD,
    PIECES,
    SEP,
    UNK,
    bert,
    electra,
    exact,
    examples,
    log_softmax,
)

SPECIALS = (CLS, SEP, PAD, UNK, MASK)


def exact_objective(kind: Any) -> Any:
    """An objective in float64, without dropout."""
    return kind.build(bert(), electra() if kind.needs_generator else None, PIECES, CONFIG).double().eval()


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


def masked_loop(objective: Any, states: Tensor, batch: dict[str, Tensor]) -> float:
    """The same over the masked positions of a batch that has their original tokens apart."""
    ids = batch["input_ids"].clone()
    ids[batch["masked"]] = batch["targets"]
    return word_loss(objective, states, ids, batch["masked"])


def detection_loop(objective: Any, hidden: Tensor, read: Tensor, original: Tensor, places: Tensor) -> float:
    """Mean of -log p(replaced or not) over ``places`` (B, L), one position after the other, in float64."""
    dense, _, linear = objective.head
    first, offset, second, last = (exact(weight) for layer in (dense, linear) for weight in layer.parameters())
    states, losses = exact(hidden), []
    for row, position in places.nonzero().tolist():
        inner = first @ states[row, position] + offset
        logit = float(second[0] @ np.array([x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in inner]) + last[0])
        replaced = 1 / (1 + math.exp(-logit))
        losses.append(-math.log(replaced if read[row, position] != original[row, position] else 1 - replaced))
    return float(np.mean(losses))


def generator_logits(generator: Any, batch: dict[str, Tensor]) -> Tensor:
    """A generator's logits at the encoder's masked tokens (masked, V), by its plain forward pass."""
    masked = batch["encoder_mask"]
    inputs = {name: batch[name] for name in ("attention_mask", "token_type_ids")}
    logits: Tensor = generator(input_ids=batch["input_ids"].masked_fill(masked, MASK), **inputs).logits[masked]
    return logits


def generator_loop(generator: Any, batch: dict[str, Tensor]) -> float:
    """Mean of -log p(original) over the masked tokens, one after the other."""
    originals = batch["input_ids"][batch["encoder_mask"]].tolist()
    logits = exact(generator_logits(generator, batch))
    return float(np.mean([-log_softmax(row)[token] for row, token in zip(logits, originals, strict=True)]))


def assert_generator_learns_from_its_own_loss(objective: Any, batch: dict[str, Tensor], weight: float) -> None:
    """The objective's gradient in its generator is that of ``weight`` times the generator's own loss."""
    alone = copy.deepcopy(objective.replacer.generator)
    objective(**batch)["loss"].backward()
    originals = batch["input_ids"][batch["encoder_mask"]]
    (weight * nn.functional.cross_entropy(generator_logits(alone, batch), originals)).backward()
    for (name, ours), theirs in zip(objective.replacer.generator.named_parameters(), alone.parameters(), strict=True):
        if theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=name)


def always_first_word(objective: Any) -> dict[str, Tensor]:
    """Have the generator draw FIRST_WORD always; a batch whose first passage has no other word."""
    with torch.no_grad():
        objective.replacer.generator.generator_lm_head.weight.zero_()
        objective.replacer.generator.generator_lm_head.bias.fill_(-1000)[FIRST_WORD] = 0
    rows = examples([22, 17])
    rows[0].ids[1:-1] = FIRST_WORD
    batch: dict[str, Tensor] = objective.collator(rows)
    assert batch["encoder_mask"][0].any()
    return batch


def tokens_read(objective: Any, batch: dict[str, Tensor]) -> list[Tensor]:
    """The tokens (B, L) that the encoder and, if there is one, the decoder embed in one forward pass."""
    read: list[Tensor] = []
    embeddings: nn.Module = objective.encoder.bert.embeddings
    handle = embeddings.register_forward_pre_hook(
        lambda _, positional, named: read.append(named["input_ids"].clone()), with_kwargs=True
    )
    objective(**batch)
    handle.remove()
    return read


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


def outputs_moved(objective: Any, batch: dict[str, Tensor], places: slice, layer: int = -1) -> dict[str, Tensor]:
    """The objective's outputs when states of a layer of the encoder are moved at these places."""

    def move(module: nn.Module, arguments: object, output: Tensor) -> Tensor:
        output = output.clone()
        output[:, places] += 0.5
        return output

    handle = objective.encoder.bert.encoder.layer[layer].output.register_forward_hook(move)
    outputs: dict[str, Tensor] = objective(**batch)
    handle.remove()
    return outputs
