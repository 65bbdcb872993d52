"""Encoding a corpus with a bi-encoder and searching it (Section 3.2)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simlm.data.inputs import Specials
from simlm.data.store import TokenisedCollection
from simlm.distributed import own_device
from simlm.finetuning.biencoder import BiEncoder
from simlm.models.load import load_body
from simlm.packed.layouts import Inference, inference_copy, inference_layout
from simlm.packed.texts import Padded
from simlm.retrieval.dense import EncoderSide, Leave, search_splits


def retrieve(
    collection: TokenisedCollection,
    retriever: Path,
    query_length: int,
    passage_length: int,
    depths: Mapping[str, int],
    timed_split: str | None,
    faiss: bool,
    device_kind: str,
    half: bool,
    work: Path,
    output: Path,
    leave: Leave,
) -> dict[str, Any]:
    """Leave the runs of a bi-encoder for some splits, and its vectors; return the figures.

    Args:
        collection: the passages and queries.
        retriever: the folder of the encoder.
        query_length, passage_length: texts are cut at so many tokens.
        depths, timed_split, faiss, work, output, leave: as in `search_splits`.
        device_kind: "cpu" or "cuda".
        half: whether passages are encoded in bfloat16; queries are in float32.
    """
    device = own_device(device_kind)
    specials = Specials.of(collection.tokenizer)
    model = BiEncoder(load_body(retriever, collection.tokenizer), temperature=1.0).to(device).eval()
    corpus = Inference(
        inference_copy(model, model.encoder, device).encode,
        inference_layout(model.encoder, specials, passage_length, device),
        device,
        half,
    )
    passages = EncoderSide(corpus, passage_length, specials)
    queries = EncoderSide(Inference(model.encode, Padded(specials), device), query_length, specials)
    return search_splits(collection, passages, queries, depths, timed_split, faiss, work, output, leave)
