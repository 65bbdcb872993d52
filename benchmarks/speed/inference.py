"""Encoding passages to vectors in memory, and scoring (query, passage) pairs with the cross-encoder."""

import importlib
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import BertTokenizer, ElectraForSequenceClassification

from benchmarks import passages as synthetic
from benchmarks.speed.measure import Machine, Made, Way
from benchmarks.speed.models import configs_for, new_bert, on_device
from simlm.data.inputs import Encoded, batch_inputs
from simlm.finetuning.biencoder import BiEncoder
from simlm.finetuning.reranker import Reranker
from simlm.models.load import reranker_from_encoder
from simlm.packed.layouts import Inference, inference_copy, inference_layout, length_batches
from simlm.packed.texts import Packed, Padded


def as_stages(compute: Inference, rows: list[Encoded]) -> Made:
    """Prepare what stages do with texts, without reading and writing them: batches of texts of like length."""
    batches = list(length_batches(np.array([len(ids) for ids, _ in rows]), compute.batch_tokens))

    def work() -> None:
        texts = (compute.collate([rows[place] for place in batch.tolist()]) for batch in batches)
        torch.cat([compute(batch) for batch in texts]).cpu()

    packed = isinstance(compute.layout, Packed)
    how = f"{'packs' if packed else 'batches'} of {compute.batch_tokens:,} tokens, texts by length"
    return Made(work, f"{how}, compiled layers" if packed else how)


def in_order(machine: Machine, rows: list[Encoded], output: Callable[[dict[str, Any]], Tensor]) -> Made:
    """Prepare plain transformers: batches of 64 texts as they come, each padded to its longest text."""
    batches = [rows[start : start + 64] for start in range(0, len(rows), 64)]

    def work() -> None:
        with torch.inference_mode(), machine.plain_autocast():
            padded = (batch_inputs(batch, synthetic.SPECIALS) for batch in batches)
            moved = ({name: tensor.to(machine.device) for name, tensor in batch.items()} for batch in padded)
            torch.cat([output(batch) for batch in moved]).cpu()

    return Made(work, "batches of 64 in their order, padded to the longest")


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
    if importlib.util.find_spec("sentence_transformers") is not None:
        yield way("sentence-transformers", sentence_transformers, usual)
    if machine.gpu:
        yield way("padded by length", padded_encoding, usual)
    yield way(machine.own_way, own_encoding, usual)
    if not machine.quick:
        for limit in (72, 144, 288, 512):
            rows = synthetic.passages(count * synthetic.LONGEST // limit, configs.vocabulary, longest=limit)
            yield way(machine.own_way, own_encoding, rows, limit)


def _cost(machine: Machine, rows: list[Encoded]) -> tuple[int, float]:
    """Return the tokens of texts, and the FLOP of an encoder's forward pass over them."""
    tokens, length = synthetic.tokens_of(rows)
    return tokens, configs_for(machine).encoder_size.forward(tokens, length)


def new_biencoder(machine: Machine) -> BiEncoder:
    """Return a bi-encoder on its device."""
    return BiEncoder(new_bert(machine).bert, 0.02).eval()


def own_encoding(machine: Machine, rows: list[Encoded]) -> Made:
    """Prepare what stages do: packs on a GPU, padded batches on a CPU."""
    model, device, longest = new_biencoder(machine), machine.device, max(len(ids) for ids, _ in rows)
    layout = inference_layout(model.encoder, synthetic.SPECIALS, longest, device)
    return as_stages(Inference(inference_copy(model, model.encoder, device).encode, layout, device, machine.half), rows)


def padded_encoding(machine: Machine, rows: list[Encoded]) -> Made:
    """Prepare padded batches of texts of like length."""
    return as_stages(
        Inference(new_biencoder(machine).encode, Padded(synthetic.SPECIALS), machine.device, machine.half), rows
    )


def plain_encoding(machine: Machine, rows: list[Encoded]) -> Made:
    """Prepare plain transformers."""
    body = new_bert(machine).bert.eval()

    def vectors(batch: dict[str, Any]) -> Tensor:
        return functional.normalize(body(**batch).last_hidden_state[:, 0].float(), dim=-1)

    return in_order(machine, rows, vectors)


def sentence_transformers(machine: Machine, rows: list[Encoded]) -> Made:
    """Prepare the library that most people encode with; it tokenises on the way, words that are one piece each."""
    library: Any = importlib.import_module("sentence_transformers")  # need not be installed
    models: Any = importlib.import_module("sentence_transformers.models")
    body = new_bert(machine).bert
    vocabulary = synthetic.spelled(body.config.vocab_size)
    with tempfile.TemporaryDirectory() as folder:
        body.save_pretrained(folder)
        BertTokenizer(vocab={word: number for number, word in enumerate(vocabulary)}).save_pretrained(folder)
        transformer = models.Transformer(folder, max_seq_length=synthetic.LONGEST)
        pooling = models.Pooling(body.config.hidden_size, pooling_mode="cls")
        modules = [transformer, pooling, models.Normalize()]
        model = library.SentenceTransformer(modules=modules, device=machine.device.type)
    if machine.half:
        model = model.bfloat16()
    texts = [" ".join(vocabulary[token] for token in ids[1:-1].tolist()) for ids, _ in rows]
    options = {"batch_size": 64, "show_progress_bar": False, "convert_to_tensor": True}
    how = "encode() of strings, batches of 64 by length" + (", bfloat16 weights" if machine.half else "")
    return Made(lambda: model.encode(texts, **options).cpu(), how)


def rerank(machine: Machine) -> Iterator[Way]:
    """Yield pairs of 192 tokens at most, scored straightforwardly and in our way."""
    count = (8_000 if machine.quick else 16_000) if machine.gpu else 256
    rows = synthetic.pairs(count, configs_for(machine).vocabulary)
    more = {"pairs": count} if machine.gpu else {}
    for name, make in (("straightforward", plain_scoring), (machine.own_way, own_scoring)):
        ready = partial(make, machine, rows)
        yield Way("rerank", name, f"{count:,} pairs", ready, *_cost(machine, rows), more=more)


def new_reranker(machine: Machine) -> ElectraForSequenceClassification:
    """Return a re-ranker on its device."""
    return on_device(reranker_from_encoder(new_bert(machine).bert), machine)


def own_scoring(machine: Machine, rows: list[Encoded]) -> Made:
    """Prepare what stages do: packs on a GPU, padded batches on a CPU; the last layer at [CLS] only."""
    model, device = Reranker(new_reranker(machine)).eval(), machine.device
    encoder = model.model.electra
    layout = inference_layout(encoder, synthetic.SPECIALS, synthetic.LONGEST_PAIR, device)
    return as_stages(Inference(inference_copy(model, encoder, device).score, layout, device, machine.half), rows)


def plain_scoring(machine: Machine, rows: list[Encoded]) -> Made:
    """Prepare plain transformers."""
    model = new_reranker(machine).eval()
    return in_order(machine, rows, lambda batch: model(**batch).logits[:, 0].float())
