"""Hard negatives of a split, from a run stage or from the lists that come with the collection."""

from typing import TYPE_CHECKING

from simlm.finetuning.negatives import NegativeLists, build_negative_lists
from simlm.retrieval.runs import Run
from simlm.scales.settings import NegativesSettings
from simlm.stages.runs import RunStage
from simlm.stages.sets import AnswerSets

if TYPE_CHECKING:
    from simlm.data.store import TokenisedCollection


def negative_lists(run: RunStage, split: str, settings: NegativesSettings, seed: int) -> NegativeLists:
    """The lists of a split's queries, the same for train and valid, BM25 and mined runs (Section 3.2).

    Those of Natural Questions are made already, without settings or seed.
    """
    if isinstance(run, AnswerSets):
        return run.lists(split)
    return lists_of(run.load(split), run.data.open(), split, settings, seed)


def lists_of(
    found: Run, collection: "TokenisedCollection", split: str, settings: NegativesSettings, seed: int
) -> NegativeLists:
    """The same from a run over all queries of a split, in the store's order."""
    # The depth of valid runs is for evaluation: lists of both splits see as many places as a list is long.
    top = Run(found.query_ids, found.indices[:, : settings.total], found.scores[:, : settings.total])
    return build_negative_lists(
        top,
        collection.queries(split).ids,
        collection.qrels(split),
        len(collection.passages),
        settings.depth,
        settings.total,
        seed,
    )
