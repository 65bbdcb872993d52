"""SimLM's pre-training, from drawn batches to the updated weights."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import passages as synthetic
from benchmarks.speed.measure import Machine, Made, Way, profiled
from benchmarks.speed.models import configs_for, new_bert, new_generator, updating
from simlm.costs.model import pretraining_flop
from simlm.data.inputs import Encoded, batch_inputs
from simlm.pretraining.objective import Example, ObjectiveConfig
from simlm.pretraining.packed_batch import MaskedPack
from simlm.pretraining.packing import batches_of
from simlm.pretraining.replaced_lm import NestedMaskCollator, ReplacedLM
from simlm.training.batches import Packs

CONFIG = ObjectiveConfig(0.3, 0.5, False, 0)
MICRO_BATCH = 64
"""Passages of the released micro-batch."""


@dataclass(frozen=True)
class Drawn:
    """The batches of some updates of a pre-training.

    Attributes:
        batches: as a stage draws them, at random.
        longest: most tokens of a passage.
        tokens: how many are read, without padding.
        flop: of all the updates.
    """

    batches: list[list[Encoded]]
    longest: int
    tokens: int
    flop: float

    @classmethod
    def of(cls, machine: Machine, batches: list[list[Encoded]], longest: int) -> "Drawn":
        """Count the tokens and the arithmetic of some batches; masks are drawn to know how many positions count."""
        configs = configs_for(machine)
        rows = [row for batch in batches for row in batch]
        tokens, length = synthetic.tokens_of(rows)
        masks = NestedMaskCollator(synthetic.pieces(configs.vocabulary), CONFIG)
        draws = [masks.draw(example) for batch in batches for example in synthetic.examples(batch)]
        masked = sum(int(draw.encoder.sum() + draw.decoder.sum()) for draw in draws)
        counted = tokens - 2 * len(rows)
        flop = pretraining_flop(configs.encoder_size, tokens, length, counted, 2, configs.generator_size, masked)
        return cls(batches, longest, tokens, flop)

    def first(self, machine: Machine) -> "Drawn":
        """Return the first batch alone."""
        return Drawn.of(machine, self.batches[:1], self.longest)


@cache
def drawn(machine: Machine, size: int, longest: int = synthetic.LONGEST) -> Drawn:
    """Return some updates of `size` passages each."""
    updates = 2 if machine.quick else 4 if machine.gpu else 10
    rows = synthetic.passages(updates * size, configs_for(machine).vocabulary, longest=longest)
    return Drawn.of(machine, [rows[start : start + size] for start in range(0, len(rows), size)], longest)


def usual_updates(machine: Machine) -> Drawn:
    """Return updates of the paper's batch on a GPU, of mini's on a CPU."""
    return drawn(machine, 2_048 if machine.gpu else 32)


def pretrain(machine: Machine) -> Iterator[Way]:
    """Yield ours and the straightforward way on the same passages; ours at other sizes and lengths, unless quick."""

    def way(name: str, make: Callable[[Machine, Drawn], Made], updates: Drawn, varied: str = "", at: int = 0) -> Way:
        what = f"{len(updates.batches)} updates of {len(updates.batches[0]):,} passages"
        more = {"updates": len(updates.batches)} if machine.gpu else {}
        ready = partial(make, machine, updates)
        return Way("pretrain", name, what, ready, updates.tokens, updates.flop, more=more, varied=varied, at=at)

    updates = usual_updates(machine)
    yield way(machine.own_way, own_pretraining, updates)
    yield way("straightforward", plain_pretraining, updates)
    if machine.quick:
        return
    usual = len(updates.batches[0])
    for size in (usual // 4, usual, 4 * usual):
        yield way(machine.own_way, own_pretraining, drawn(machine, size), "passages an update", size)
    for limit in (72, 144, 288, 512):
        other = drawn(machine, usual * synthetic.LONGEST // limit, limit)
        yield way(machine.own_way, own_pretraining, other, "longest passage, in tokens", limit)


def profiled_pretraining(machine: Machine) -> dict[str, Any]:
    """Return where the time of one of our updates goes."""
    return profiled(machine, own_pretraining(machine, usual_updates(machine).first(machine)))


def new_objective(machine: Machine) -> ReplacedLM:
    """Return SimLM's objective on its device, ready to be trained."""
    pieces = synthetic.pieces(configs_for(machine).vocabulary)
    objective = ReplacedLM.build(new_bert(machine), new_generator(machine), pieces, CONFIG)
    return objective.to(machine.device).train()


def trained(module: nn.Module) -> list[nn.Parameter]:
    """Return the weights of a module that are trained."""
    return [weight for weight in module.parameters() if weight.requires_grad]


def own_pretraining(machine: Machine, updates: Drawn) -> Made:
    """Prepare what stages do: packs on a GPU, the padded objective on a CPU."""
    objective = new_objective(machine)
    examples = [synthetic.examples(rows) for rows in updates.batches]
    batches = batches_of(objective, updates.longest, machine.device)
    if not isinstance(batches, Packs):

        def padded(batch: list[Example]) -> None:
            with machine.autocast():
                loss = objective(**objective.collator(batch))["loss"]
            loss.backward()

        backwards = [partial(padded, batch) for batch in examples]
        work = updating(trained(objective), backwards, 1e-4, fused=True)
        return Made(work, "masks drawn in the step, logits in chunks, fused AdamW")
    start = time.perf_counter()
    parts = [[part.pin_memory() for part in batches.collate(batch, MICRO_BATCH)] for batch in examples]
    collated = sum(map(len, examples)) / (time.perf_counter() - start)

    def packed(update: list[MaskedPack]) -> None:
        for part in update:
            moved = part.to(machine.device)
            with machine.autocast():
                loss = objective(moved)["loss"]
            loss.backward()

    tokens = [one.pack.input_ids.shape[1] for update in parts for one in update]
    how = f"{len(tokens)} packs of up to {max(tokens):,} tokens, compiled layers, fused AdamW, masks drawn beforehand"
    work = updating(trained(objective), [partial(packed, update) for update in parts], 1e-4, fused=True)
    return Made(work, how, {"passages_per_second_collated_by_one_core": collated})


def plain_pretraining(machine: Machine, updates: Drawn) -> Made:
    """Prepare the same passages, put to updates at random; logits and a full softmax at every position.

    Micro-batches are padded to the most tokens of a passage, which 64 at random nearly always reach.
    """
    objective = new_objective(machine)
    model, generator = objective.model, objective.replacer.generator
    rows = [row for batch in updates.batches for row in batch]
    rows = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]
    update = len(updates.batches[0])
    size = MICRO_BATCH if machine.gpu else update
    micro_batches = [
        [
            batch_inputs(rows[start : start + size], synthetic.SPECIALS, multiple_of=updates.longest)
            for start in range(first, first + update, size)
        ]
        for first in range(0, len(rows), update)
    ]

    def filled(ids: Tensor, attention: Tensor, rate: float) -> Tensor:
        masked = (torch.rand(ids.shape, device=ids.device) < rate) & (ids >= synthetic.FIRST_WORD)
        with torch.no_grad():
            reading = ids.masked_fill(masked, synthetic.SPECIALS.mask)
            logits = generator(input_ids=reading, attention_mask=attention).logits
            sampled = torch.multinomial(logits.float().softmax(-1).flatten(0, 1), 1).view_as(ids)
        return torch.where(masked, sampled, ids)

    def padded(inputs: list[dict[str, Tensor]]) -> None:
        for batch in inputs:
            ids, attention, types = (tensor.to(machine.device) for tensor in batch.values())
            labels = ids.masked_fill(ids < synthetic.FIRST_WORD, -100)
            with machine.plain_autocast():
                hidden = model.encode(filled(ids, attention, CONFIG.encoder_rate), attention, types)
                decoded = model.decode(hidden[:, 0], filled(ids, attention, CONFIG.decoder_rate), attention)
                losses = [
                    functional.cross_entropy(objective.encoder.cls(states).flatten(0, 1), labels.flatten())
                    for states in (hidden, decoded)
                ]
                loss = torch.stack(losses).sum() / len(inputs)
            loss.backward()

    work = updating(trained(objective), [partial(padded, inputs) for inputs in micro_batches], 1e-4, fused=False)
    how = f"micro-batches of {size} padded to {updates.longest} tokens, logits everywhere, torch's AdamW"
    return Made(work, how)
