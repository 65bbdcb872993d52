"""Encoding passages to vectors in memory, and scoring (query, passage) pairs with the cross-encoder."""

import importlib
import importlib.util
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import BertModel, BertTokenizer, ElectraForSequenceClassification

from benchmarks import passages as synthetic
from benchmarks.speed.measure import Machine, Made, Way, Work
from benchmarks.speed.models import configs_for, new_bert, on_device
from simlm.data.inputs import Encoded, batch_inputs
from simlm.finetuning.biencoder import BiEncoder
from simlm.finetuning.reranker import Reranker
from simlm.models.load import reranker_from_encoder
from simlm.packed.layouts import (
    BATCH_TOKENS,
    PACK,
    Inference,
    inference_copy,
    inference_layout,
    length_batches,
    pieces_on,
)
from simlm.packed.pack import full_parts

IN_ORDER = "batches of 64 in their order, padded to the longest"


def over_packs(rows: list[Encoded], compute: Inference) -> Work:
    """Return what computes over packs, filled in the order of the texts."""
    parts = list(full_parts(np.array([len(ids) for ids, _ in rows]), compute.batch_tokens))
    return lambda: torch.cat([compute(compute.collate(rows[part])) for part in parts]).cpu()


def over_batches(
    machine: Machine, batches: Iterable[list[Encoded]], output: Callable[[dict[str, Any]], Tensor]
) -> Work:
    """Return what computes over batches, each padded to its longest text on the way."""
    chosen = list(batches)

    def work() -> None:
        with torch.inference_mode(), machine.autocast():
            padded = (batch_inputs(batch, synthetic.SPECIALS) for batch in chosen)
            moved = ({name: tensor.to(machine.device) for name, tensor in batch.items()} for batch in padded)
            torch.cat([output(batch) for batch in moved]).cpu()

    return work


def in_order(rows: list[Encoded], size: int = 64) -> list[list[Encoded]]:
    """Return batches of texts as they come."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def encode(machine: Machine) -> Iterator[Way]:
    """Yield the same passages encoded in several ways; ours for longer and shorter ones too, unless quick."""
    configs = configs_for(machine)
    count = (20_000 if machine.quick else 40_000) if machine.gpu else (512 if machine.quick else 2_000)

    def way(name: str, make: Callable[..., Made], rows: list[Encoded], limit: int = 0) -> Way:
        return Way(
            "encode",
            name,
            f"{len(rows):,} passages",
            partial(make, machine, rows),
            *_cost(machine, rows),
            more={"passages": len(rows)} if machine.gpu else {},
            varied="longest passage, in tokens" if limit else "",
            at=limit,
        )

    usual = synthetic.passages(count, configs.vocabulary)
    yield way("straightforward", plain_encoding, usual)
    yield way("padded by length", encoding_by_length, usual)
    if importlib.util.find_spec("sentence_transformers") is not None:
        yield way("sentence-transformers", sentence_transformers, usual)
    if machine.gpu:
        yield way("packed", encoding_in_packs, usual)
    if not machine.quick:
        own = encoding_in_packs if machine.gpu else encoding_by_length
        for limit in (72, 144, 288, 512):
            rows = synthetic.passages(count * synthetic.LONGEST // limit, configs.vocabulary, longest=limit)
            yield way(machine.own_way, own, rows, limit)


def _cost(machine: Machine, rows: list[Encoded]) -> tuple[int, float]:
    """Return the tokens of texts, and the FLOP of an encoder's forward pass over them."""
    tokens, length = synthetic.tokens_of(rows)
    return tokens, configs_for(machine).encoder_size.forward(tokens, length)


def new_body(machine: Machine) -> BertModel:
    """Return an encoder without a head on its device."""
    body: BertModel = new_bert(machine).bert
    return body.eval()


def encoding_in_packs(machine: Machine, rows: list[Encoded]) -> Made:
    """Prepare what stages do on a GPU."""
    model, device = BiEncoder(new_body(machine), 0.02).eval(), machine.device
    layout = inference_layout(model.encoder, synthetic.SPECIALS, max(len(ids) for ids, _ in rows), device)
    compute = Inference(inference_copy(model, model.encoder, device).encode, layout, device)
    return Made(over_packs(rows, compute), f"packs of {PACK:,} tokens, packed in the loop, compiled layers")


def encoding_by_length(machine: Machine, rows: list[Encoded]) -> Made:
    """Prepare what stages do on a CPU, without their files."""
    batches = length_batches(np.array([len(ids) for ids, _ in rows]), BATCH_TOKENS)
    model = BiEncoder(new_body(machine), 0.02).eval()
    work = over_batches(machine, ([rows[one] for one in batch.tolist()] for batch in batches), model.encode)
    return Made(work, f"batches of {BATCH_TOKENS:,} tokens by length")


def plain_encoding(machine: Machine, rows: list[Encoded]) -> Made:
    """Prepare plain transformers."""
    body = new_body(machine)

    def vectors(batch: dict[str, Any]) -> Tensor:
        return functional.normalize(body(**batch).last_hidden_state[:, 0].float(), dim=-1)

    return Made(over_batches(machine, in_order(rows), vectors), IN_ORDER)


def sentence_transformers(machine: Machine, rows: list[Encoded]) -> Made:
    """Prepare the library that most people encode with; it tokenises on the way, words that are one piece each."""
    library: Any = importlib.import_module("sentence_transformers")  # need not be installed
    models: Any = importlib.import_module("sentence_transformers.models")
    body = new_body(machine)
    vocabulary = synthetic.spelled(body.config.vocab_size)
    with tempfile.TemporaryDirectory() as folder:
        body.save_pretrained(folder)
        BertTokenizer(vocab={word: number for number, word in enumerate(vocabulary)}).save_pretrained(folder)
        transformer = models.Transformer(folder, max_seq_length=synthetic.LONGEST)
        pooling = models.Pooling(body.config.hidden_size, pooling_mode="cls")
        modules = [transformer, pooling, models.Normalize()]
        model = library.SentenceTransformer(modules=modules, device=machine.device.type)
    if machine.gpu:
        model = model.bfloat16()
    texts = [" ".join(vocabulary[token] for token in ids[1:-1].tolist()) for ids, _ in rows]
    options = {"batch_size": 64, "show_progress_bar": False, "convert_to_tensor": True}
    how = "encode() of strings, batches of 64 by length" + (", bfloat16 weights" if machine.gpu else "")
    return Made(lambda: model.encode(texts, **options).cpu(), how)


def rerank(machine: Machine) -> Iterator[Way]:
    """Yield pairs of 192 tokens at most, scored straightforwardly and in our way."""
    count = (8_000 if machine.quick else 16_000) if machine.gpu else 256
    rows = synthetic.pairs(count, configs_for(machine).vocabulary)
    own = scoring_in_packs if machine.gpu else scoring_by_length
    more = {"pairs": count} if machine.gpu else {}
    for name, make in (("straightforward", plain_scoring), (machine.own_way, own)):
        ready = partial(make, machine, rows)
        yield Way("rerank", name, f"{count:,} pairs", ready, *_cost(machine, rows), more=more)


def new_reranker(machine: Machine) -> ElectraForSequenceClassification:
    """Return a re-ranker on its device."""
    return on_device(reranker_from_encoder(new_bert(machine).bert), machine)


def scoring_in_packs(machine: Machine, rows: list[Encoded]) -> Made:
    """Prepare what stages do on a GPU."""
    return Made(over_packs(rows, _scorer(machine)), f"packs of at most {PACK:,} tokens, compiled layers")


def scoring_by_length(machine: Machine, rows: list[Encoded]) -> Made:
    """Prepare what stages do on a CPU."""
    compute = _scorer(machine)
    return Made(lambda: compute(compute.collate(rows)), "pieces by length, last layer at [CLS] only")


def _scorer(machine: Machine) -> Inference:
    model, device = Reranker(new_reranker(machine)).eval(), machine.device
    encoder = model.model.electra
    layout = inference_layout(encoder, synthetic.SPECIALS, synthetic.LONGEST_PAIR, device, pieces_on(device))
    return Inference(inference_copy(model, encoder, device).score, layout, device)


def plain_scoring(machine: Machine, rows: list[Encoded]) -> Made:
    """Prepare plain transformers."""
    model = new_reranker(machine).eval()
    work = over_batches(machine, in_order(rows), lambda batch: model(**batch).logits[:, 0].float())
    return Made(work, IN_ORDER)
