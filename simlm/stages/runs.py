"""Stages that rank passages for queries, and what all of them leave behind."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from experimaestro import Param

from simlm.retrieval.runs import PADDING, Run, write_run
from simlm.stages.data import Prepare
from simlm.stages.models import EncoderStage
from simlm.stages.slots import faiss_chosen
from simlm.stages.stage import Stage

if TYPE_CHECKING:
    import pandas as pd

    from simlm.data.store import TokenisedCollection, TokenStore
    from simlm.retrieval.encode import Embeddings

MINED_SPLIT = "train"
LATENCY_QUERIES = 64


class RunStage(Stage):
    """A stage that leaves runs: arrays for every split, a TREC file and per-query measures for the evaluated ones.

    Train queries are searched only to mine hard negatives, so they get arrays alone.
    """

    data: Param[Prepare]

    tag: ClassVar[str] = "run"

    @property
    def origin(self) -> "RunStage":
        """The stage that ranked these passages, and so has this run's index size, latency and trials."""
        return self

    def trec(self, split: str) -> Path:
        """The TREC run file of a split."""
        return self.folder / f"{split}.run"

    def measures(self, split: str) -> Path:
        """Per-query measures of a split, a CSV indexed by query_id."""
        return self.folder / f"{split}.measures.csv"

    def load(self, split: str) -> Run:
        """A split's run, its arrays memory-mapped; queries in the store's order."""
        return load_run(self.folder, split, self.data.open())

    def leave(self, split: str, run: Run, collection: "TokenisedCollection") -> dict[str, float]:
        """Write a split's TREC file, unless it was only mined, and ``keep`` the rest."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if split != MINED_SPLIT:
            write_run(self.trec(split), run, collection.passages.ids, self.tag)
        return self.keep(split, run)

    def keep(self, split: str, run: Run) -> dict[str, float]:
        """Write a split's arrays and, unless it was only mined, the measures of its TREC file; their means.

        A split without qrels, which is judged by answers (`simlm.stages.answers`), has no measures here.
        """
        np.save(self.folder / f"{split}.indices.npy", run.indices)
        np.save(self.folder / f"{split}.scores.npy", run.scores)
        return {} if split == MINED_SPLIT or not self.judged(split) else self.judge(split)

    def judged(self, split: str) -> bool:
        """Whether there is something to measure a split's run against."""
        return len(self.data.open().qrels(split)) > 0

    def judge(self, split: str) -> dict[str, float]:
        """Keep the per-query values of a split, and return their means."""
        values = self.measured(split)
        values.to_csv(self.measures(split), float_format="%.6g")
        return {f"{split} {name}": float(mean) for name, mean in values.mean().items()}

    def measured(self, split: str) -> "pd.DataFrame":
        """A split's TREC file measured per query, against the qrels."""
        from simlm.evaluation.measures import evaluate, measures_of

        return evaluate(self.trec(split), self.data.source().qrels(split), measures_of(split))


class PackageLists(RunStage):
    """The hard negatives that come with a collection, in their order, as runs of train and valid to mine from."""

    def run(self) -> dict[str, Any]:
        collection, source = self.data.open(), self.data.source()
        self.folder.mkdir(parents=True, exist_ok=True)
        figures: dict[str, Any] = {}
        for split in (MINED_SPLIT, "valid"):
            store = collection.queries(split)
            depth = max((len(row) for _, row in source.negatives(split)), default=0)
            indices = self._array(split, "indices", len(store), depth, PADDING, np.int64)
            scores = self._array(split, "scores", len(store), depth, -np.inf, np.float32)
            for query, row in source.negatives(split):
                place = store.ids.index(query)
                indices[place, : len(row)] = collection.passages.ids.indices(row)
                scores[place, : len(row)] = -np.arange(len(row))
            figures[f"{split} negatives"] = int((indices != PADDING).sum())
        return figures

    def _array(self, split: str, name: str, queries: int, depth: int, empty: float, kind: type) -> np.ndarray:
        """A run's array (queries, depth) on disk, memory-mapped: MS MARCO's lists are a gigabyte."""
        path = self.folder / f"{split}.{name}.npy"
        if not queries * depth:  # nothing that could be mapped
            np.save(path, np.empty((queries, depth), kind))
            return np.empty((queries, depth), kind)
        array = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=(queries, depth))
        array[:] = empty
        return array


class Retrieve(RunStage):
    """Encode the corpus and search it exactly for the queries of some splits (Section 3.2).

    ``depth`` for evaluated splits, ``mining_depth`` for train. Embeddings stay on disk, sharded and memory-mapped.
    """

    shared = True

    retriever: Param[EncoderStage]
    splits: Param[list[str]]
    depth: Param[int]
    mining_depth: Param[int]
    query_length: Param[int]
    passage_length: Param[int]

    tag = "dense"

    def run(self) -> dict[str, Any]:
        import torch

        from simlm.data.inputs import Specials, batch_inputs, query_input
        from simlm.finetuning.biencoder import BiEncoder
        from simlm.group import is_first
        from simlm.models.shapes import load_body
        from simlm.packed.inference import packed_encoder
        from simlm.retrieval.encode import encode_texts
        from simlm.retrieval.search import search, search_together
        from simlm.stages.training import PACKED_ON, prepare_torch

        device = prepare_torch()
        collection = self.data.open()
        specials = Specials.of(collection.tokenizer)
        retriever = BiEncoder(load_body(self.retriever.model, collection.tokenizer), temperature=1.0).to(device).eval()

        def in_precision(inputs: dict[str, torch.Tensor]) -> torch.Tensor:
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
                return retriever.encode(inputs)

        def encoded(store: "TokenStore", name: str, length: int) -> "Embeddings":
            if device.type not in PACKED_ON:
                return encode_texts(in_precision, store, specials, self.work / name, length, device=device)
            packs = packed_encoder(retriever, specials.pad, length)
            return encode_texts(packs, store, specials, self.work / name, length, packs.tokens, collate=packs.collate)

        start = time.perf_counter()
        passages = encoded(collection.passages, "passages", self.passage_length)
        seconds = time.perf_counter() - start
        figures: dict[str, Any] = {
            "encode_seconds": seconds,
            "passages_per_second": len(passages) / seconds,
            "tokens": int(np.minimum(collection.passages.lengths, self.passage_length).sum()),
            "index_bytes": sum(path.stat().st_size for path in passages.folder.rglob("*") if path.is_file()),
        }
        for split in self.splits:
            store = collection.queries(split)
            queries = encoded(store, f"queries-{split}", self.query_length).read()
            k = min(self.mining_depth if split == MINED_SPLIT else self.depth, len(passages))
            scores, indices = search_together(queries, passages, k, device=device, faiss=faiss_chosen())
            if not is_first():
                continue
            run = Run([store.ids[i] for i in range(len(store))], indices, scores)
            figures |= self.leave(split, run, collection)
            if split != MINED_SPLIT:

                def answer(number: int, store: "TokenStore" = store, k: int = k) -> None:
                    one = batch_inputs([query_input(store.text(number), self.query_length, specials)], specials)
                    with torch.inference_mode():
                        vector = in_precision({name: tensor.to(device) for name, tensor in one.items()})
                    search(vector.float().cpu().numpy(), passages, k, device=device, faiss=faiss_chosen())

                figures["latency_ms"] = 1000 * _latency(answer, len(store))
        # Encoded where an interrupted attempt can go on, and left where whoever searches next finds it.
        if is_first():
            passages.folder.rename(self.folder / "passages")
        return figures


def load_run(folder: Path, split: str, collection: "TokenisedCollection") -> Run:
    """What `RunStage.load` gives, from the output folder of such a stage and its collection."""
    ids = collection.queries(split).ids
    return Run(
        [ids[i] for i in range(len(ids))],
        np.load(folder / f"{split}.indices.npy", mmap_mode="r", allow_pickle=False),
        np.load(folder / f"{split}.scores.npy", mmap_mode="r", allow_pickle=False),
    )


def _latency(answer: Callable[[int], None], queries: int) -> float:
    """Mean seconds to encode and search one query, one after the other; the first, which warms up, does not count."""
    count = min(LATENCY_QUERIES, queries)
    answer(0)
    start = time.perf_counter()
    for number in range(count):
        answer(number)
    return (time.perf_counter() - start) / count


def read_log(stage_folder: Path) -> list[dict[str, float]]:
    """The training log that a stage left, [] when it trains nothing."""
    path = stage_folder / "losses.json"
    log: list[dict[str, float]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return log
