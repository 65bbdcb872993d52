"""An ablation's cells: a start fine-tuned as Retriever1 on BM25's negatives, searched and measured."""

from collections.abc import Callable
from copy import copy
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from ablations.starts import STARTS, collection_of
from ablations.steps import STEPS
from baselines.stages import BM25, BM25Index
from simlm.commands.checks import check_known
from simlm.scales import Scale
from simlm.scales.settings import varied
from simlm.stages.pipeline import Pipeline, Submit
from simlm.stages.runs import MINED_SPLIT, PackageLists, Retrieve, RunStage

BM25_DEFAULT = [0.9, 0.4]
"""Anserini's k1 and b, with which the paper's BM25 was run."""

NEGATIVES = ("bm25", "package", "official")
"""Where Retriever1's hard negatives come from: our own BM25's run, or the lists that come with the collection.

Of MS MARCO's lists the last is the usual name: they are of its official BM25 run. Both names mean the same.
"""

STAGED = ("simlm", "cocondenser")
"""The starts that go through every stage (Tables 2 and 6): their Retriever1 is also searched with train queries."""

ENCODERS = STARTS | STEPS
"""What a retriever can be fine-tuned from, by name: a whole pre-training, or what it had after some of its updates."""


C = TypeVar("C", bound="Retriever1Runs")
P = ParamSpec("P")
R = TypeVar("R")


def once(method: Callable[Concatenate[C, P], R]) -> Callable[Concatenate[C, P], R]:
    """A method that builds its stage at the first call and gives the same one afterwards."""

    @wraps(method)
    def built(self: C, *arguments: P.args, **named: P.kwargs) -> R:
        key = (method.__name__, arguments, tuple(sorted(named.items())))
        if key not in self.made:
            self.made[key] = method(self, *arguments, **named)
        found: R = self.made[key]
        return found

    return built


class Retriever1Runs:
    """Every run that an ablation can ask for, over one pipeline; asking builds what it stands on, once."""

    def __init__(self, scale: Scale, seed: int, submit: Submit, negatives: str = "bm25") -> None:
        check_known("source of negatives", negatives, NEGATIVES)
        self.negatives = negatives
        self.pipeline = Pipeline(scale, seed, submit)
        self.scale = scale
        self.made: dict[tuple[Any, ...], Any] = {}

    @once
    def part(self: C, name: str) -> C:
        """The runs over a part of the collection."""
        runs = copy(self)
        runs.pipeline, runs.made = self.pipeline.part(name), {}
        return runs

    @once
    def bm25(self) -> BM25:
        """BM25 with default parameters; its train run gives Retriever1's negatives."""
        return self.bm25_of(BM25_DEFAULT, [MINED_SPLIT, *self.pipeline.evaluated], "BM25")

    @once
    def first_negatives(self) -> RunStage:
        """What Retriever1's hard negatives are taken from."""
        if self.negatives == "bm25":
            return self.bm25()
        return self.pipeline.add(PackageLists.C(data=self.pipeline.data), "the package's negatives")

    @once
    def first_set(self) -> RunStage:
        """What Retriever1 trains on."""
        return self.pipeline.training_set([self.first_negatives()], "first training set")

    @once
    def retriever1(self, start: str, rate: float | None = None) -> Retrieve:
        """Runs of a start fine-tuned on the first negatives, maybe at another rate; mined too for ``STAGED``."""
        settings = self.scale.retrievers.get(start, self.scale.retriever)
        name = f"Retriever1 ({start})"
        if rate not in (None, settings.optimisation.learning_rate):
            settings = varied(settings, optimisation=varied(settings.optimisation, learning_rate=rate))
            name = f"{name}, rate {rate:g}"
        encoder, data = ENCODERS[start](self.pipeline), collection_of(start, self.pipeline)
        trained = self.pipeline.retriever(encoder, self.first_set(), name, settings, data)
        return self.pipeline.retrieve(trained, f"{name}: runs", mine=start in STAGED)

    def bm25_of(self, grid: list[float], splits: list[str], name: str) -> BM25:
        """BM25 runs of some splits with the parameters that are best on valid, or the only ones of ``grid``."""
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
