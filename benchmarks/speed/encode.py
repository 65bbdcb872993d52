"""Encoding passages to vectors in memory: ours, padded batches by length, and sentence-transformers' encode."""

import importlib
import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn import functional
from transformers import BertModel

from benchmarks import passages as synthetic
from benchmarks.speed.loops import in_order, over_batches, over_packs
from benchmarks.speed.machine import Machine
from benchmarks.speed.measure import Result, measured
from benchmarks.speed.models import configs_for, new_bert
from simlm.data.inputs import Encoded
from simlm.finetuning.biencoder import BiEncoder
from simlm.packed.layouts import (
    BATCH_TOKENS,
    PACK,
    Inference,
    inference_copy,
    inference_layout,
    length_batches,
)


def encode(machine: Machine) -> list[Result]:
    """Vectors of the same passages, three ways; ours of longer and shorter ones too, unless quick."""
    vocabulary = configs_for(machine).vocabulary
    count = (20_000 if machine.quick else 40_000) if machine.gpu else (512 if machine.quick else 2_000)
    rows = synthetic.passages(count, vocabulary)
    body: BertModel = new_bert(machine).bert.eval()
    straight, bucketed = plain(machine, body, rows), by_length(machine, body, rows)
    ways: list[tuple[str, str, Callable[[], None]]] = [
        ("straightforward", "batches of 64 in their order, padded to the longest", straight),
        ("padded by length", f"batches of {BATCH_TOKENS:,} tokens by length", bucketed),
    ]
    if importlib.util.find_spec("sentence_transformers") is not None:
        ways.append(
            (
                "sentence-transformers",
                "encode() of strings, batches of 64 by length" + (", bfloat16 weights" if machine.gpu else ""),
                sentence_transformers(machine, body, rows),
            )
        )
    if machine.gpu:
        what = f"packs of {PACK:,} tokens, packed in the loop, compiled layers"
        ways.append(("packed", what, packs(machine, body, rows, synthetic.LONGEST)))
    results = [_measured(machine, way, f"{count:,} passages; {what}", work, rows) for way, what, work in ways]
    if not machine.quick:
        way = "packed" if machine.gpu else "padded by length"
        for limit in (72, 144, 288, 512):
            rows = synthetic.passages(count * synthetic.LONGEST // limit, vocabulary, longest=limit)
            work = packs(machine, body, rows, limit) if machine.gpu else by_length(machine, body, rows)
            results.append(_measured(machine, way, f"{len(rows):,} passages", work, rows, limit))
    return results


def _measured(
    machine: Machine, way: str, what: str, work: Callable[[], None], rows: list[Encoded], limit: int = 0
) -> Result:
    tokens, length = synthetic.tokens_of(rows)
    flop = configs_for(machine).sizes()[0].forward(tokens, length)
    more = {"passages": len(rows)} if machine.gpu else {}
    varied = "longest passage, in tokens" if limit else ""
    return measured(machine, "encode", way, what, work, tokens, flop, more=more, varied=varied, at=limit)


def packs(machine: Machine, body: BertModel, rows: list[Encoded], longest: int) -> Callable[[], None]:
    """Do what stages do on a GPU; the other ways run the model as it is."""
    model = inference_copy(BiEncoder(body, 0.02).eval(), body, machine.device)
    layout = inference_layout(body, synthetic.SPECIALS, longest, machine.device)
    return over_packs(rows, Inference(model.encode, layout, machine.device))


def by_length(machine: Machine, body: BertModel, rows: list[Encoded]) -> Callable[[], None]:
    """What ``encode_texts`` does, without its files."""
    batches = length_batches(np.array([len(ids) for ids, _ in rows]), BATCH_TOKENS)
    model = BiEncoder(body, 0.02).eval()
    return over_batches(machine, ([rows[one] for one in batch.tolist()] for batch in batches), model.encode)


def plain(machine: Machine, body: BertModel, rows: list[Encoded]) -> Callable[[], None]:
    """Plain transformers."""

    def vectors(batch: dict[str, Any]) -> Tensor:
        return functional.normalize(body(**batch).last_hidden_state[:, 0].float(), dim=-1)

    return over_batches(machine, in_order(rows), vectors)


def sentence_transformers(machine: Machine, body: BertModel, rows: list[Encoded]) -> Callable[[], None]:
    """The library that most people encode with; it tokenises in its loop, so it is given words that are one token."""
    from sentence_transformers import SentenceTransformer
    from transformers import BertTokenizer

    models: Any = importlib.import_module("sentence_transformers.models")

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary += [f"w{number}" for number in range(len(vocabulary), body.config.vocab_size)]
    with tempfile.TemporaryDirectory() as folder:
        body.save_pretrained(folder)
        BertTokenizer(vocab={word: number for number, word in enumerate(vocabulary)}).save_pretrained(folder)
        transformer = models.Transformer(str(Path(folder)), max_seq_length=synthetic.LONGEST)
        pooling = models.Pooling(body.config.hidden_size, pooling_mode="cls")
        model = SentenceTransformer(modules=[transformer, pooling, models.Normalize()], device=machine.device.type)
    if machine.gpu:
        model = model.bfloat16()
    texts = [" ".join(vocabulary[token] for token in ids[1:-1].tolist()) for ids, _ in rows]

    def work() -> None:
        model.encode(texts, batch_size=64, show_progress_bar=False, convert_to_tensor=True).cpu()

    return work
