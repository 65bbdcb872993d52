"""SimLM's pre-training step, from a drawn batch to the updated weights."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks import passages as synthetic
from benchmarks.speed.machine import Machine
from benchmarks.speed.measure import Result, measured, release
from benchmarks.speed.models import configs_for, new_bert, new_generator
from benchmarks.speed.profile import profiled
from simlm.costs.model import pretraining_flop
from simlm.data.inputs import Encoded, batch_inputs
from simlm.pretraining.objective import Example, ObjectiveConfig
from simlm.pretraining.packed_batch import MaskedPack
from simlm.pretraining.packing import batches_of
from simlm.pretraining.replaced_lm import NestedMaskCollator, ReplacedLM
from simlm.training.batches import Packs, Split, losses_of

CONFIG = ObjectiveConfig(0.3, 0.5, False, 0)
GROUP = 64
"""Passages of the released micro-batch."""
EPOCH = 50
"""Updates of an epoch, whose passages a stage sorts by length together; some of them are measured."""


class Drawn(NamedTuple):
    """The batches of some updates as a stage draws them, of passages of at most ``longest`` tokens.

    tokens: how many are real. flop: the arithmetic of their updates. usual: tokens of an update of the whole epoch.
    """

    batches: list[list[Encoded]]
    longest: int
    tokens: int
    flop: float
    usual: float


Made = tuple[Callable[[], None], str, dict[str, Any]]
"""What does the updates, how, and what else is known of it."""


def batch_size(machine: Machine) -> int:
    """Passages an update: the paper's where a GPU is."""
    return 2_048 if machine.gpu else 32


def pretrain(machine: Machine) -> list[Result]:
    """Ours and the straightforward way on the same passages; ours at other batch sizes and lengths, unless quick."""
    usual, longest = batch_size(machine), synthetic.LONGEST
    own = "packed" if machine.gpu else "padded by length"
    here = drawn(machine, usual, longest)
    results = [_measured(machine, way, here, make) for way, make in ((own, ours), ("straightforward", straightforward))]
    if machine.quick:
        return results
    for size in (usual // 4, usual, 4 * usual):
        results.append(_measured(machine, own, drawn(machine, size, longest), ours, "passages an update", size))
    for limit in (72, 144, 288, 512):
        there = drawn(machine, usual * longest // limit, limit)
        results.append(_measured(machine, own, there, ours, "longest passage, in tokens", limit))
    return results


def drawn(machine: Machine, size: int, longest: int) -> Drawn:
    """Updates of ``size`` passages each."""
    configs = configs_for(machine)
    rows = synthetic.passages(EPOCH * size, configs.vocabulary, longest=longest)
    updates = (2 if machine.quick else 4) if machine.gpu else 10
    batches = synthetic.of_like_length(rows, size, updates)
    read = [row for batch in batches for row in batch]
    tokens, length = synthetic.tokens_of(read)
    masks = NestedMaskCollator(synthetic.pieces(configs.vocabulary), CONFIG)
    draws = [masks.draw(example) for batch in batches for example in synthetic.examples(batch)]
    masked = sum(int(draw.encoder.sum() + draw.decoder.sum()) for draw in draws)
    encoder, generator = configs.sizes()
    flop = pretraining_flop(encoder, tokens, length, tokens - 2 * len(read), 2, generator, masked)
    return Drawn(batches, longest, tokens, flop, sum(len(ids) for ids, _ in rows) / EPOCH)


def _measured(
    machine: Machine,
    way: str,
    updates: Drawn,
    make: Callable[[Machine, Drawn], Made],
    varied: str = "",
    at: int = 0,
) -> Result:
    work, how, more = make(machine, updates)
    more |= {"updates": updates.tokens / updates.usual} if machine.gpu else {}
    what = f"{len(updates.batches)} updates of {len(updates.batches[0]):,} passages; {how}"
    return measured(machine, "pretrain", way, what, work, updates.tokens, updates.flop, more=more, varied=varied, at=at)


def _objective(machine: Machine) -> ReplacedLM:
    pieces = synthetic.pieces(configs_for(machine).vocabulary)
    objective = ReplacedLM.build(new_bert(machine), new_generator(machine), pieces, CONFIG)
    return objective.to(machine.device).train()


def _updating(objective: ReplacedLM, backwards: Sequence[Callable[[], None]], fused: bool) -> Callable[[], None]:
    weights = [weight for weight in objective.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-4, weight_decay=0.0, fused=fused or None)

    def updates() -> None:
        for backward in backwards:
            optimizer.zero_grad()
            backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()

    return updates


def ours(machine: Machine, updates: Drawn) -> Made:
    """Packs on a GPU; on a CPU the padded objective that mini's stages run."""
    objective = _objective(machine)
    examples = [synthetic.examples(rows) for rows in updates.batches]
    batches = batches_of(objective, updates.longest, machine.device)
    if not isinstance(batches, Packs):

        def padded(batch: list[Example]) -> None:
            for part in batches.update(batch, Split(len(batch))).parts:
                losses_of(objective, part)["loss"].backward()

        backwards = [partial(padded, batch) for batch in examples]
        return _updating(objective, backwards, fused=False), "masks drawn in the step, logits in chunks", {}
    start = time.perf_counter()
    parts: list[list[MaskedPack]] = [
        [part.pin_memory() for part in batches.collate(batch, GROUP)] for batch in examples
    ]
    collated = sum(map(len, examples)) / (time.perf_counter() - start)

    def packed(update: list[MaskedPack]) -> None:
        for part in update:
            moved = part.to(machine.device)
            with machine.autocast():
                loss = objective(moved)["loss"]
            loss.backward()

    tokens = [one.pack.input_ids.shape[1] for update in parts for one in update]
    what = f"{len(tokens)} packs of up to {max(tokens):,} tokens, compiled layers, fused AdamW, masks drawn beforehand"
    backwards = [partial(packed, update) for update in parts]
    return _updating(objective, backwards, fused=True), what, {"passages_per_second_collated_by_one_core": collated}


def straightforward(machine: Machine, updates: Drawn) -> Made:
    """The same passages, put to updates at random; logits and a full softmax at every position, no compiled code.

    Micro-batches are padded to the most tokens of a passage, which 64 at random nearly always reach.
    """
    objective = _objective(machine)
    model, generator = objective.model, objective.replacer.generator
    rows = [row for batch in updates.batches for row in batch]
    rows = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]
    update = len(updates.batches[0])
    size = GROUP if machine.gpu else update
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
            drawn = torch.multinomial(logits.float().softmax(-1).flatten(0, 1), 1).view_as(ids)
        return torch.where(masked, drawn, ids)

    def padded(inputs: list[dict[str, Tensor]]) -> None:
        for batch in inputs:
            ids, attention, types = (tensor.to(machine.device) for tensor in batch.values())
            labels = ids.masked_fill(ids < synthetic.FIRST_WORD, -100)
            with machine.autocast():
                hidden = model.encode(filled(ids, attention, 0.3), attention, types)
                decoded = model.decode(hidden[:, 0], filled(ids, attention, 0.5), attention)
                losses = [
                    functional.cross_entropy(objective.encoder.cls(states).flatten(0, 1), labels.flatten())
                    for states in (hidden, decoded)
                ]
                loss = torch.stack(losses).sum() / len(inputs)
            loss.backward()

    what = f"micro-batches of {size} padded to {updates.longest} tokens, logits everywhere, torch's AdamW"
    return _updating(objective, [partial(padded, inputs) for inputs in micro_batches], fused=False), what, {}


def profiled_step(machine: Machine) -> dict[str, Any]:
    """Where one of our updates goes, of passages of middling length."""
    some = drawn(machine, batch_size(machine), synthetic.LONGEST)
    release(machine)
    step, _, _ = ours(machine, some._replace(batches=some.batches[len(some.batches) // 2 :][:1]))
    step()
    return profiled(step, machine)
