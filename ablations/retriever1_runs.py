"""The runs that an ablation compares: each start fine-tuned as Retriever1 on BM25's negatives, and searched."""

from collections.abc import Callable
from copy import copy
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ablations.starts import ENCODERS, collection_of
from baselines.stages import BM25, BM25Index
from simlm.commands.checks import check_known
from simlm.scales import Scale
from simlm.stages.encoder_pipeline import Submit
from simlm.stages.pipeline import Pipeline
from simlm.stages.runs import MINED_SPLIT, Retrieve, RunStage

BM25_DEFAULT = [0.9, 0.4]
"""Anserini's k1 and b, with which the paper's BM25 was run."""

NEGATIVES = ("bm25", "package", "official")
"""Where Retriever1's hard negatives come from: our own BM25's run, or the lists that come with the collection.

"package" and "official" mean the same. The latter is the usual name of MS MARCO's lists, from its official BM25 run.
"""

STAGED = ("simlm", "cocondenser")
"""The starts that go through every stage (Tables 2 and 6): their Retriever1 also searches with the train queries."""

C = TypeVar("C", bound="Retriever1Runs")
P = ParamSpec("P")
R = TypeVar("R")


def once(method: Callable[Concatenate[C, P], R]) -> Callable[Concatenate[C, P], R]:
    """Make a method build its stage at the first call, and return the same stage at every later call."""

    @wraps(method)
    def built(self: C, *arguments: P.args, **named: P.kwargs) -> R:
        key = (method.__name__, arguments, tuple(sorted(named.items())))
        if key not in self.made:
            self.made[key] = method(self, *arguments, **named)
        found: R = self.made[key]
        return found

    return built


class Retriever1Runs:
    """Every run that an ablation can ask for, over one pipeline. Asking for a run builds what it depends on, once."""

    def __init__(self, scale: Scale, seed: int, submit: Submit, negatives: str = "bm25") -> None:
        check_known("source of negatives", negatives, NEGATIVES)
        self.negatives = negatives
        self.pipeline = Pipeline(scale, seed, submit)
        self.scale = scale
        self.made: dict[tuple[Any, ...], Any] = {}

    @once
    def half(self: C, name: str) -> C:
        """Return the same over a part of the collection."""
        runs = copy(self)
        runs.pipeline, runs.made = self.pipeline.half(name), {}
        return runs

    @once
    def bm25(self) -> BM25:
        """Return BM25 with default parameters; its train run gives Retriever1's negatives."""
        return self.bm25_of(BM25_DEFAULT, [MINED_SPLIT, *self.pipeline.evaluated], "BM25")

    @once
    def first_negatives(self) -> RunStage:
        """Return the run or the lists that Retriever1's hard negatives are taken from."""
        if self.negatives == "bm25":
            return self.bm25()
        return self.pipeline.package_lists("the package's negatives")

    @once
    def first_set(self) -> RunStage:
        """Return what Retriever1 trains on."""
        return self.pipeline.training_set([self.first_negatives()], "first training set")

    @once
    def retriever1(self, start: str) -> Retrieve:
        """Return the runs of a start, a key of ``ENCODERS``, fine-tuned on the first negatives.

        Those of ``STAGED`` also have a run of the train queries.
        """
        settings = self.scale.retrievers.get(start, self.scale.retriever)
        name = f"Retriever1 ({start})"
        encoder, data = ENCODERS[start](self.pipeline), collection_of(start, self.pipeline)
        trained = self.pipeline.retriever(encoder, self.first_set(), name, settings, data)
        return self.pipeline.retrieve(trained, f"{name}: runs", mine=start in STAGED)

    def bm25_of(self, grid: list[float], splits: list[str], name: str) -> BM25:
        """Return BM25's runs with the parameters that are best on valid.

        Args:
            grid: Values of (k1, b), one pair after the other; a single pair is not tried on valid.
            splits: The splits to search with.
            name: The name of the stage.
        """
        search = self.scale.search
        return self.pipeline.add(
            BM25.C(
                data=self.pipeline.data,
                index=self._index(),
                grid=grid,
                splits=splits,
                depth=search.evaluation_depth,
                mining_depth=search.mining_depth,
            ),
            name,
        )

    @once
    def _index(self) -> BM25Index:
        return self.pipeline.add(BM25Index.C(data=self.pipeline.data), "BM25 index")
