"""BM25 and its fusion with a dense run, as stages of the pipeline."""

from pathlib import Path
from typing import Any

from experimaestro import Param, field

from simlm.costs.sizes import sizes_of
from simlm.costs.work import Work, work_rule
from simlm.retrieval.runs import read_run
from simlm.stages.data import Prepare
from simlm.stages.runs import MINED_SPLIT, RunStage
from simlm.workflow.stage import Stage


class BM25Index(Stage):
    """Lucene's index of a collection, in which Lucene writes random names and the time."""

    reproducible = False
    libraries = ("pyserini", "jnius")

    data: Param[Prepare]

    def run(self) -> dict[str, Any]:
        from baselines.bm25 import build_index, index_bytes

        build_index(self.data.source().passages(), self.path)
        return {"index_bytes": index_bytes(self.path)}

    @property
    def path(self) -> Path:
        """The index's folder."""
        return self.folder / "index"


class BM25(RunStage):
    """BM25 runs, with Anserini's default parameters (one point in ``grid``) or the best of ``grid`` on valid.

    The grid holds (k1, b) pairs, one after the other; the first of equally good ones is taken.
    """

    index: Param[BM25Index]
    grid: Param[list[float]]
    splits: Param[list[str]]
    depth: Param[int]
    mining_depth: Param[int]

    tag = "bm25"

    def run(self) -> dict[str, Any]:
        from baselines.bm25 import search_index, tune

        source, collection = self.data.source(), self.data.open()
        points = list(zip(self.grid[::2], self.grid[1::2], strict=True))
        figures: dict[str, Any] = {}
        if len(points) > 1:
            own = collection.queries_in_corpus("valid")
            queries, grade = list(source.queries("valid")), source.relevant_grade("valid")
            trials = tune(self.index.path, queries, source.qrels("valid"), points, own, grade)
            figures["trials"] = [trial._asdict() for trial in trials]
            best = max(trials, key=lambda trial: trial.rr_at_10)
            points = [(best.k1, best.b)]
        (k1, b), *_ = points
        figures |= {"k1": k1, "b": b}
        self.folder.mkdir(parents=True, exist_ok=True)
        for split in self.splits:
            depth = self.mining_depth if split == MINED_SPLIT else self.depth
            path = self.trec(split) if split != MINED_SPLIT else self.job / "train.run"
            own = collection.queries_in_corpus(split)
            cost = search_index(self.index.path, source.queries(split), path, k1, b, depth, own)
            ids = collection.queries(split).ids
            run = read_run(path, [ids[i] for i in range(len(ids))], collection.passages.ids)
            figures |= self.keep(split, run)
            if split == MINED_SPLIT:
                path.unlink()
            else:
                figures["latency_ms"] = 1000 * cost.seconds / max(1, cost.queries)
        return figures


class Fusion(RunStage):
    """A convex combination of two runs' normalised scores, its weight chosen on valid by RR@10.

    Made on test and on the ``further`` test splits.
    """

    dense: Param[RunStage]
    lexical: Param[RunStage]
    weights: Param[list[float]]
    depth: Param[int]
    further: Param[list[str]] = field(default=[], ignore_default=True)

    tag = "fusion"

    @property
    def splits(self) -> list[str]:
        """The splits that runs are made on."""
        return ["test", *self.further]

    def run(self) -> dict[str, Any]:
        from baselines.fusion import fuse, tune

        collection, source = self.data.open(), self.data.source()
        dense, lexical = self.dense.load("valid"), self.lexical.load("valid")
        qrels, grade = source.qrels("valid"), source.relevant_grade("valid")
        trials = tune(dense, lexical, collection.passages.ids, qrels, self.weights, grade)
        best = max(trials, key=lambda trial: trial.rr_at_10)
        figures: dict[str, Any] = {}
        for split in self.splits:
            fused = fuse(self.dense.load(split), self.lexical.load(split), best.weight, self.depth)
            figures |= self.leave(split, fused, collection)
        return figures | {"weight": best.weight, "trials": [trial._asdict() for trial in trials]}


INDEX_BYTES = 1.3
"""Lucene's index takes for a word piece of the collection (InsuranceQA's 27,413 passages: 3.1 MB)."""


@work_rule.register
def _index(stage: BM25Index) -> Work:
    sizes = sizes_of(stage.data)
    return Work(disk_bytes=INDEX_BYTES * sizes.passages * sizes.passage())
