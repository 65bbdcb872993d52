"""Scoring (query, passage) pairs with the cross-encoder."""

from collections.abc import Callable

import numpy as np
import torch

from repro.benching import passages as synthetic
from repro.benching.machine import Machine
from repro.benching.measure import Result, measured
from repro.benching.models import new_bert, on_device, shapes_for
from simlm.costs.arithmetic import Lengths, layers_flop
from simlm.data.inputs import Encoded, batch_inputs
from simlm.finetuning.reranker import Reranker, reranker_from_encoder
from simlm.packed.forwards import prepare
from simlm.packed.inputs import full_parts, pack
from simlm.packed.reranker import PackedReranker

PACK = 65_536


def rerank(machine: Machine) -> list[Result]:
    """Pairs of 192 tokens at most; 6,980 x 200 of them are a run on MS MARCO's dev queries."""
    shapes = shapes_for(machine)
    count = (8_000 if machine.quick else 16_000) if machine.gpu else 256
    rows = synthetic.pairs(count, shapes.vocabulary)
    counts = [len(ids) for ids, _ in rows]
    flop = layers_flop(shapes.encoder, len(counts), Lengths.of(counts))
    results = []
    ways: list[tuple[str, str, Callable[[], None]]] = [
        ("straightforward", "batches of 64 in their order, padded to the longest", in_order(machine, rows))
    ]
    if machine.gpu:
        ways.append(("packed", f"packs of at most {PACK:,} tokens, compiled layers", packs(machine, rows)))
    else:
        ways.append(("padded by length", "pieces by length, last layer at [CLS] only", by_length(machine, rows)))
    for way, what, work in ways:
        what = f"{count:,} pairs; {what}"
        more = {"pairs": count} if machine.gpu else {}
        results.append(measured(machine, "rerank", way, what, work, sum(counts), flop, more=more))
    return results


def packs(machine: Machine, rows: list[Encoded]) -> Callable[[], None]:
    """Packs of one shape."""
    model = PackedReranker(
        on_device(reranker_from_encoder(new_bert(shapes_for(machine), machine).bert), machine)
    ).eval()
    prepare(model, compiled=True)
    parts = list(full_parts(np.array([len(ids) for ids, _ in rows]), PACK))

    def work() -> None:
        scores = []
        with torch.no_grad(), machine.autocast():
            for part in parts:
                packed = pack(rows[part], synthetic.SPECIALS.pad, PACK, 1_024, synthetic.LONGEST_PAIR)
                scores.append(model.score(packed.pin_memory().to(machine.device)))
        torch.cat(scores).cpu()

    return work


def by_length(machine: Machine, rows: list[Encoded]) -> Callable[[], None]:
    """What stages do on a CPU."""
    model = Reranker(reranker_from_encoder(new_bert(shapes_for(machine), machine).bert), buckets=4).eval()

    def work() -> None:
        with torch.inference_mode():
            model.score(batch_inputs(rows, synthetic.SPECIALS))

    return work


def in_order(machine: Machine, rows: list[Encoded]) -> Callable[[], None]:
    """Plain transformers."""
    model = on_device(reranker_from_encoder(new_bert(shapes_for(machine), machine).bert), machine).eval()

    def work() -> None:
        scores = []
        with torch.inference_mode(), machine.autocast():
            for start in range(0, len(rows), 64):
                batch = batch_inputs(rows[start : start + 64], synthetic.SPECIALS)
                inputs = {name: tensor.to(machine.device) for name, tensor in batch.items()}
                scores.append(model(**inputs).logits[:, 0].float())
        torch.cat(scores).cpu()

    return work
