"""Scoring (query, passage) pairs with the cross-encoder."""

from collections.abc import Callable

from transformers import ElectraForSequenceClassification

from benchmarks import passages as synthetic
from benchmarks.speed.loops import in_order, over_batches, over_packs
from benchmarks.speed.machine import Machine
from benchmarks.speed.measure import Result, measured
from benchmarks.speed.models import configs_for, new_bert, on_device
from simlm.data.inputs import Encoded
from simlm.finetuning.reranker import Reranker
from simlm.models.load import reranker_from_encoder
from simlm.packed.layouts import PACK, Inference, inference_copy, inference_layout, pieces_on


def rerank(machine: Machine) -> list[Result]:
    """Pairs of 192 tokens at most; 6,980 x 200 of them are a run on MS MARCO's dev queries."""
    count = (8_000 if machine.quick else 16_000) if machine.gpu else 256
    rows = synthetic.pairs(count, configs_for(machine).vocabulary)
    tokens, length = synthetic.tokens_of(rows)
    flop = configs_for(machine).sizes()[0].forward(tokens, length)
    results = []
    ways: list[tuple[str, str, Callable[[], None]]] = [
        ("straightforward", "batches of 64 in their order, padded to the longest", plain(machine, rows))
    ]
    if machine.gpu:
        ways.append(("packed", f"packs of at most {PACK:,} tokens, compiled layers", packs(machine, rows)))
    else:
        ways.append(("padded by length", "pieces by length, last layer at [CLS] only", by_length(machine, rows)))
    for way, what, work in ways:
        what = f"{count:,} pairs; {what}"
        more = {"pairs": count} if machine.gpu else {}
        results.append(measured(machine, "rerank", way, what, work, tokens, flop, more=more))
    return results


def new_reranker(machine: Machine) -> ElectraForSequenceClassification:
    """One of random weights, on its device."""
    return on_device(reranker_from_encoder(new_bert(machine).bert), machine)


def packs(machine: Machine, rows: list[Encoded]) -> Callable[[], None]:
    """Do what stages do on a GPU."""
    return over_packs(rows, _scorer(machine))


def by_length(machine: Machine, rows: list[Encoded]) -> Callable[[], None]:
    """Do what stages do on a CPU while they train: one batch, in pieces by length."""
    score = _scorer(machine)

    def work() -> None:
        score(score.collate(rows))

    return work


def _scorer(machine: Machine) -> Inference:
    model = Reranker(new_reranker(machine)).eval()
    electra, device = model.model.electra, machine.device
    layout = inference_layout(electra, synthetic.SPECIALS, synthetic.LONGEST_PAIR, device, pieces_on(device))
    return Inference(inference_copy(model, electra, device).score, layout, device)


def plain(machine: Machine, rows: list[Encoded]) -> Callable[[], None]:
    """Plain transformers."""
    model = new_reranker(machine).eval()
    return over_batches(machine, in_order(rows), lambda batch: model(**batch).logits[:, 0].float())
