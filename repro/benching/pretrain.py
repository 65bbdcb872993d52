"""SimLM's pre-training step, from a drawn batch to the updated weights."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from repro.benching import passages as synthetic
from repro.benching.machine import Machine
from repro.benching.measure import Result, measured, release
from repro.benching.models import new_bert, new_generator, shapes_for
from repro.benching.profile import profiled
from simlm.costs.arithmetic import Lengths, bottleneck_flop, generator_flop
from simlm.data.inputs import Encoded, batch_inputs
from simlm.packed.limits import MAX_TOKENS, ROUND_TO
from simlm.packed.objective import PackedObjective
from simlm.packed.parts import PackingCollator, Part
from simlm.pretraining.objective import Example, Setting
from simlm.pretraining.replaced_lm import NestedMaskCollator, ReplacedLM

SETTING = Setting(0.3, 0.5, False, 0)
GROUP = 64
"""Passages of the released micro-batch."""
UPDATES, EPOCH = 4, 50
"""Updates that are measured, of those of an epoch: the batches that a stage sorts by length together."""


Made = tuple[Callable[[], None], str, dict[str, Any]]
"""What does the updates, how, and what else is known of it."""


def batch_size(machine: Machine) -> int:
    """Passages an update: the paper's where a GPU is."""
    return 2_048 if machine.gpu else 32


def pretrain(machine: Machine) -> list[Result]:
    """Ours and the straightforward way on the same passages; ours at other batch sizes and lengths, unless quick."""
    usual, longest = batch_size(machine), synthetic.LONGEST
    batches = drawn(machine, usual, longest)
    results = [
        _measured(machine, way, batches, make, what=f"{UPDATES} updates of {usual:,} passages")
        for way, make in ((_name(machine), ours), ("straightforward", straightforward))
    ]
    if machine.quick:
        return results
    for size in (usual // 4, usual, 4 * usual):
        results.append(
            _measured(machine, _name(machine), drawn(machine, size, longest), ours, "passages an update", size)
        )
    for limit in (72, 144, 288, 512):
        batches = drawn(machine, usual * longest // limit, limit)
        results.append(
            _measured(
                machine, _name(machine), batches, ours, "longest passage, in tokens (as many of them in all)", limit
            )
        )
    return results


def drawn(machine: Machine, size: int, longest: int) -> list[list[Encoded]]:
    """The batches of some updates, of passages of at most ``longest`` tokens."""
    rows = synthetic.passages(EPOCH * size, shapes_for(machine).vocabulary, longest=longest)
    return synthetic.of_like_length(rows, size, UPDATES)


def _name(machine: Machine) -> str:
    return "packed" if machine.gpu else "padded by length"


def _measured(
    machine: Machine,
    way: str,
    batches: list[list[Encoded]],
    make: Callable[[Machine, list[list[Encoded]]], Made],
    varied: str = "",
    at: int = 0,
    what: str = "",
) -> Result:
    work, how, more = make(machine, batches)
    tokens, flop = arithmetic(machine, batches)
    more |= {"updates": len(batches)} if machine.gpu else {}
    what = f"{what}; {how}" if what else how
    return measured(machine, "pretrain", way, what, work, tokens, flop, more=more, varied=varied, at=at)


def arithmetic(machine: Machine, batches: list[list[Encoded]]) -> tuple[int, float]:
    """The real tokens of some updates, and their FLOP."""
    shapes = shapes_for(machine)
    rows = [row for batch in batches for row in batch]
    counts = [len(ids) for ids, _ in rows]
    masks = NestedMaskCollator(synthetic.pieces(shapes.vocabulary), SETTING)
    draws = [masks.draw(example) for example in synthetic.examples(rows)]
    masked = sum(int(draw.encoder.sum() + draw.decoder.sum()) for draw in draws)
    counted, size = sum(counts) - 2 * len(counts), (len(counts), Lengths.of(counts))
    flop = bottleneck_flop(shapes.encoder, shapes.vocabulary, *size, counted, decoder=2)
    return sum(counts), flop + generator_flop(shapes.generator, shapes.vocabulary, *size, masked)


def _objective(machine: Machine) -> ReplacedLM:
    shapes = shapes_for(machine)
    pieces = synthetic.pieces(shapes.vocabulary)
    objective = ReplacedLM.build(new_bert(shapes, machine), new_generator(shapes, machine), pieces, SETTING)
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


def ours(machine: Machine, batches: list[list[Encoded]]) -> Made:
    """Packs on a GPU; on a CPU the padded objective that mini's stages run."""
    objective = _objective(machine)
    examples = [synthetic.examples(rows) for rows in batches]
    if not machine.gpu:

        def padded(batch: list[Example]) -> None:
            objective(**objective.collator(batch))["loss"].backward()

        backwards = [partial(padded, batch) for batch in examples]
        return _updating(objective, backwards, fused=False), "masks drawn in the step, logits in chunks", {}
    longest = max(len(ids) for rows in batches for ids, _ in rows)
    collator = PackingCollator(objective.collator, MAX_TOKENS, round_to=ROUND_TO, max_length=longest)
    start = time.perf_counter()
    parts = [[part.pin_memory() for part in collator(batch, GROUP)] for batch in examples]
    collated = sum(map(len, batches)) / (time.perf_counter() - start)
    model = PackedObjective(objective, compiled=True, gumbel=True)

    def packed(update: list[Part]) -> None:
        for part in update:
            moved = part.to(machine.device)
            with machine.autocast():
                loss = model(moved)["loss"]
            loss.backward()

    tokens = [one.pack.input_ids.shape[1] for update in parts for one in update]
    what = f"{len(tokens)} packs of up to {max(tokens):,} tokens, compiled layers, fused AdamW, masks drawn beforehand"
    backwards = [partial(packed, update) for update in parts]
    return _updating(objective, backwards, fused=True), what, {"passages_per_second_collated_by_one_core": collated}


def straightforward(machine: Machine, batches: list[list[Encoded]]) -> Made:
    """The same passages in no order of length, logits and a full softmax at every position, no compiled code.

    Micro-batches are padded to their longest, on a CPU to the longest of all.
    """
    objective = _objective(machine)
    model, generator = objective.model, objective.replacer.generator
    rows = [row for batch in batches for row in batch]
    rows = [rows[place] for place in np.random.default_rng(0).permutation(len(rows))]
    update, size = len(batches[0]), GROUP if machine.gpu else len(batches[0])
    multiple = 8 if machine.gpu else synthetic.LONGEST
    micro_batches = [
        [
            batch_inputs(rows[start : start + size], synthetic.SPECIALS, multiple_of=multiple)
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

    width = float(np.mean([batch["input_ids"].shape[1] for inputs in micro_batches for batch in inputs]))
    what = f"micro-batches of {size} padded to {width:.0f} tokens, logits everywhere, torch's AdamW"
    return _updating(objective, [partial(padded, inputs) for inputs in micro_batches], fused=False), what, {}


def profiled_step(machine: Machine) -> dict[str, Any]:
    """Where one of our updates goes, of passages of middling length."""
    batches = drawn(machine, batch_size(machine), synthetic.LONGEST)
    release(machine)
    step, _, _ = ours(machine, batches[UPDATES // 2 : UPDATES // 2 + 1])
    step()
    return profiled(step, machine)
