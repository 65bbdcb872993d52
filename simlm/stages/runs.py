"""Stages that rank passages for queries, and what all of them leave behind."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from experimaestro import Param, field

from simlm.data.store import TokenisedCollection
from simlm.finetuning.negatives import NegativeLists, lists_of_split, ready_lists
from simlm.retrieval.runs import PADDING, Run, write_run
from simlm.scales.settings import NegativesSettings
from simlm.stages.computing import ComputingStage
from simlm.stages.data import Prepare
from simlm.stages.libraries import LIBRARIES
from simlm.stages.models import EncoderStage
from simlm.workflow.stage import Stage

if TYPE_CHECKING:
    import pandas as pd

MINED_SPLIT = "train"


class RunStage(Stage):
    """A stage that leaves runs: arrays for every split, a TREC file and per-query measures for the evaluated ones.

    Train queries are searched only to mine hard negatives, so they get arrays alone.
    """

    imports = LIBRARIES

    data: Param[Prepare]

    tag: ClassVar[str] = "run"

    @property
    def origin(self) -> "RunStage":
        """The stage that ranked these passages, and so has this run's index size, latency and trials."""
        return self

    @property
    def retrieved(self) -> "RunStage":
        """The stage that ranked the passages of valid which this one's lists are made of."""
        return self

    def trec(self, split: str) -> Path:
        """Return the path of a split's TREC run file."""
        return self.folder / f"{split}.run"

    def measures(self, split: str) -> Path:
        """Return the path of a split's per-query measures, a CSV indexed by query_id."""
        return self.folder / f"{split}.measures.csv"

    def load(self, split: str) -> Run:
        """Return a split's run, its arrays memory-mapped; queries are in the store's order."""
        return load_run(self.folder, split, self.data.open())

    def negative_lists(self, split: str, settings: NegativesSettings, seed: int) -> NegativeLists:
        """Return the hard negatives of train or valid that come from this run (Section 3.2)."""
        return self.lists_of(self.load(split), self.data.open(), split, settings, seed)

    def lists_of(
        self, run: Run, collection: TokenisedCollection, split: str, settings: NegativesSettings, seed: int
    ) -> NegativeLists:
        """Return what `negative_lists` does, from this stage's run of a split and its collection."""
        return lists_of_split(run, collection, split, settings, seed)

    def leave(self, split: str, run: Run, collection: TokenisedCollection) -> dict[str, float]:
        """Write a split's TREC file, unless it was only mined, and `keep` the rest; return its mean measures."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if split != MINED_SPLIT:
            write_run(self.trec(split), run, collection.passages.ids, self.tag)
        return self.keep(split, run)

    def keep(self, split: str, run: Run) -> dict[str, float]:
        """Write a split's arrays and, unless it was only mined, the measures of its TREC file; return their means.

        A split without qrels, which is judged by answers (`simlm.stages.answers`), has no measures here.
        """
        np.save(self.folder / f"{split}.indices.npy", run.indices)
        np.save(self.folder / f"{split}.scores.npy", run.scores)
        return {} if split == MINED_SPLIT or not self.judged(split) else self.judge(split)

    def relevant_grade(self, split: str) -> int:
        """Return the smallest grade that counts as relevant when a split's run is measured."""
        return self.data.source().relevant_grade(split)

    def judged(self, split: str) -> bool:
        """Tell whether there is something to measure a split's run against."""
        return len(self.data.open().qrels(split)) > 0

    def judge(self, split: str) -> dict[str, float]:
        """Write the per-query values of a split, and return their means."""
        values = self.measured(split)
        values.to_csv(self.measures(split), float_format="%.6g")
        return {f"{split} {name}": float(mean) for name, mean in values.mean().items()}

    def measured(self, split: str) -> "pd.DataFrame":
        """Measure a split's TREC file per query, against the qrels."""
        from simlm.evaluation.measures import evaluate, measures_of

        measures = measures_of(split, self.relevant_grade(split))
        return evaluate(self.trec(split), self.data.source().qrels(split), measures)


class PackageLists(RunStage):
    """Write the hard negatives that come with a collection as runs of train and valid, in their order.

    Lists that are ``ready`` are trained on as they are (`simlm.data.catalogue.has_ready_lists`).
    """

    ready: Param[bool] = field(default=False, ignore_default=True)

    def run(self) -> dict[str, Any]:
        collection, source = self.data.open(), self.data.source()
        self.folder.mkdir(parents=True, exist_ok=True)
        figures: dict[str, Any] = {}
        for split in (MINED_SPLIT, "valid"):
            store, own = collection.queries(split), collection.queries_in_corpus(split)
            depth = max((len(row) for _, row in source.negatives(split)), default=0)
            indices = self._array(split, "indices", len(store), depth, PADDING, np.int64)
            scores = self._array(split, "scores", len(store), depth, -np.inf, np.float32)
            for query, row in source.negatives(split):
                place = store.ids.index(query)
                row = [id for id in row if id != query] if query in own else row
                indices[place, : len(row)] = collection.passages.ids.indices(row)
                scores[place, : len(row)] = -np.arange(len(row))
            figures[f"{split} negatives"] = int((indices != PADDING).sum())
        return figures

    def lists_of(
        self, run: Run, collection: TokenisedCollection, split: str, settings: NegativesSettings, seed: int
    ) -> NegativeLists:
        """Return the lists as they are if they are ready, otherwise made as those of a run."""
        if not self.ready:
            return super().lists_of(run, collection, split, settings, seed)
        return ready_lists(run, collection.qrels(split))

    def _array(self, split: str, name: str, queries: int, depth: int, empty: float, kind: type) -> np.ndarray:
        """Make an array (queries, depth) on disk, memory-mapped: MS MARCO's lists are a gigabyte."""
        path = self.folder / f"{split}.{name}.npy"
        if not queries * depth:  # nothing that could be mapped
            np.save(path, np.empty((queries, depth), kind))
            return np.empty((queries, depth), kind)
        array = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=(queries, depth))
        array[:] = empty
        return array


class Retrieve(RunStage, ComputingStage):
    """Encode the corpus and search it exactly for the queries of some splits (Section 3.2).

    Keep the best ``depth`` passages of a query of the evaluated splits, ``mining_depth`` of train. Embeddings stay on
    disk, sharded and memory-mapped.
    """

    retriever: Param[EncoderStage]
    splits: Param[list[str]]
    depth: Param[int]
    mining_depth: Param[int]
    query_length: Param[int]
    passage_length: Param[int]

    tag = "dense"

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.retrieve import retrieve

        evaluated = [split for split in self.splits if split != MINED_SPLIT]
        return retrieve(
            self.data.open(),
            self.retriever.model,
            self.query_length,
            self.passage_length,
            {split: self.mining_depth if split == MINED_SPLIT else self.depth for split in self.splits},
            evaluated[-1] if evaluated else None,
            self.choices.search == "faiss",
            self.choices.compute_device(),
            self.half,
            self.work,
            self.folder,
            self.leave,
        )


def load_run(folder: Path, split: str, collection: TokenisedCollection) -> Run:
    """Return what `RunStage.load` returns, from the output folder of such a stage and its collection."""
    ids = collection.queries(split).ids
    return Run(
        [ids[i] for i in range(len(ids))],
        np.load(folder / f"{split}.indices.npy", mmap_mode="r", allow_pickle=False),
        np.load(folder / f"{split}.scores.npy", mmap_mode="r", allow_pickle=False),
    )


def read_log(stage_folder: Path) -> list[dict[str, float]]:
    """Return the training log that a stage left; [] when it trains nothing."""
    path = stage_folder / "losses.json"
    log: list[dict[str, float]] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return log
