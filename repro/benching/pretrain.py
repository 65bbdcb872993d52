"""SimLM's pre-training step, from a drawn batch to the updated weights."""

import time
from collections.abc import Callable
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
from simlm.packed.parts import PackingCollator
from simlm.pretraining.objective import Setting
from simlm.pretraining.replaced_lm import NestedMaskCollator, ReplacedLM

SETTING = Setting(0.3, 0.5, False, 0)
GROUP = 64
"""Passages of the released micro-batch."""


def batch_size(machine: Machine) -> int:
    """Passages an update: the paper's where a GPU is."""
    return 2_048 if machine.gpu else 32


def pretrain(machine: Machine) -> list[Result]:
    """Ours and the straightforward way on the same passages."""
    shapes = shapes_for(machine)
    rows = synthetic.passages(batch_size(machine), shapes.vocabulary)
    counts = [len(ids) for ids, _ in rows]
    masks = NestedMaskCollator(synthetic.pieces(shapes.vocabulary), SETTING)
    draws = [masks.draw(example) for example in synthetic.examples(rows)]
    masked = sum(int(draw.encoder.sum() + draw.decoder.sum()) for draw in draws)
    counted, size = sum(counts) - 2 * len(counts), (len(counts), Lengths.of(counts))
    flop = bottleneck_flop(shapes.encoder, shapes.vocabulary, *size, counted, decoder=2)
    flop += generator_flop(shapes.generator, shapes.vocabulary, *size, masked)
    batch = f"{len(rows)} passages an update"
    results = []
    for way, make in (("packed" if machine.gpu else "padded by length", ours), ("straightforward", straightforward)):
        work, what, more = make(machine, rows)
        more |= {"updates": 1} if machine.gpu else {}
        results.append(
            measured(
                machine, "pretrain", way, f"{batch}; {what}", work, sum(counts), flop, warm_up=2, calls=3, more=more
            )
        )
        del work
    return results


def _objective(machine: Machine) -> ReplacedLM:
    shapes = shapes_for(machine)
    pieces = synthetic.pieces(shapes.vocabulary)
    objective = ReplacedLM.build(new_bert(shapes, machine), new_generator(shapes, machine), pieces, SETTING)
    return objective.to(machine.device).train()


def _updating(objective: ReplacedLM, backward: Callable[[], None], fused: bool) -> Callable[[], None]:
    weights = [weight for weight in objective.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-4, weight_decay=0.0, fused=fused or None)

    def step() -> None:
        optimizer.zero_grad()
        backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()

    return step


Made = tuple[Callable[[], None], str, dict[str, Any]]


def ours(machine: Machine, rows: list[Encoded]) -> Made:
    """Packs on a GPU; on a CPU the padded objective that mini's stages run."""
    examples = synthetic.examples(rows)
    objective = _objective(machine)
    masks = NestedMaskCollator(synthetic.pieces(shapes_for(machine).vocabulary), SETTING)
    if not machine.gpu:

        def padded() -> None:
            order = sorted(examples, key=lambda example: len(example.ids))
            for start in range(0, len(order), 32):
                objective(**objective.collator(order[start : start + 32]))["loss"].backward()

        return _updating(objective, padded, fused=False), "masks drawn in the step, logits in chunks", {}
    collator = PackingCollator(masks, MAX_TOKENS, round_to=ROUND_TO, max_length=synthetic.LONGEST)
    start = time.perf_counter()
    parts = [part.pin_memory() for part in collator(examples, GROUP)]
    collated = len(rows) / (time.perf_counter() - start)
    model = PackedObjective(objective, compiled=True, gumbel=True)

    def packed() -> None:
        for part in parts:
            moved = part.to(machine.device)
            with machine.autocast():
                loss = model(moved)["loss"]
            loss.backward()

    shape = parts[0].pack.input_ids.shape[1]
    what = f"{len(parts)} packs of {shape:,} tokens, compiled layers, fused AdamW, masks drawn beforehand"
    return _updating(objective, packed, fused=True), what, {"passages_per_second_collated_by_one_core": collated}


def straightforward(machine: Machine, rows: list[Encoded]) -> Made:
    """Micro-batches padded to their longest, logits and a full softmax at every position, no compiled code."""
    objective = _objective(machine)
    model, generator = objective.model, objective.replacer.generator
    size = GROUP if machine.gpu else len(rows)
    batches = [batch_inputs(rows[start : start + size], synthetic.SPECIALS) for start in range(0, len(rows), size)]
    if not machine.gpu:
        batches = [batch_inputs(rows, synthetic.SPECIALS, multiple_of=synthetic.LONGEST)]

    def filled(ids: Tensor, attention: Tensor, rate: float) -> Tensor:
        masked = (torch.rand(ids.shape, device=ids.device) < rate) & (ids >= synthetic.FIRST_WORD)
        with torch.no_grad():
            reading = ids.masked_fill(masked, synthetic.SPECIALS.mask)
            logits = generator(input_ids=reading, attention_mask=attention).logits
            drawn = torch.multinomial(logits.float().softmax(-1).flatten(0, 1), 1).view_as(ids)
        return torch.where(masked, drawn, ids)

    def padded() -> None:
        for batch in batches:
            ids, attention, types = (tensor.to(machine.device) for tensor in batch.values())
            labels = ids.masked_fill(ids < synthetic.FIRST_WORD, -100)
            with machine.autocast():
                hidden = model.encode(filled(ids, attention, 0.3), attention, types)
                decoded = model.decode(hidden[:, 0], filled(ids, attention, 0.5), attention)
                losses = [
                    functional.cross_entropy(objective.encoder.cls(states).flatten(0, 1), labels.flatten())
                    for states in (hidden, decoded)
                ]
                loss = torch.stack(losses).sum() / len(batches)
            loss.backward()

    width = float(np.mean([batch["input_ids"].shape[1] for batch in batches]))
    what = f"micro-batches of {size} padded to {width:.0f} tokens, logits everywhere, torch's AdamW"
    return _updating(objective, padded, fused=False), what, {}


def profiled_step(machine: Machine) -> dict[str, Any]:
    """Where one of our steps goes."""
    rows = synthetic.passages(batch_size(machine), shapes_for(machine).vocabulary)
    release(machine)
    step, _, _ = ours(machine, rows)
    step()
    return profiled(step, machine)
