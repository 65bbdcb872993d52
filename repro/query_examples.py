"""The test queries on which two rows differ most, with what rows find for them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from reports.facts import Case, CasePassage, CaseResult
from repro.run_values import SPLIT, run_file
from simlm.stages.runs import RunStage

if TYPE_CHECKING:
    # Importing ir_datasets makes folders below HOME: a command has its options checked first.
    from simlm.data.collection import Collection


def disagreeing(
    one: pd.DataFrame,
    other: pd.DataFrame,
    runs: Mapping[str, RunStage],
    collection: "Collection",
    measure: str,
    count: int,
) -> list[Case]:
    """Return the queries on which two rows differ most, taken in turn from both sides, as examples.

    Args:
        one: The measures of the one row by query.
        other: Those of the other row.
        runs: The runs whose top passages are shown, by the names to show.
        collection: The collection that was searched.
        measure: The measure to compare.
        count: The number of queries.
    """
    chosen = disagreements(one, other, measure, count)
    queries = {query.id: query.text for query in collection.queries(SPLIT) if query.id in chosen}
    store = collection.docs.docs_store()
    return collect_cases(
        chosen,
        {name: run_file(run) for name, run in runs.items()},
        collection.relevant(SPLIT),
        queries.__getitem__,
        lambda passages: {doc.doc_id: doc.text for doc in store.get_many_iter(passages)},
    )


def disagreements(one: pd.DataFrame, other: pd.DataFrame, measure: str, count: int) -> list[str]:
    """Return the ids of the ``count`` queries on which two rows differ most, taken in turn from both sides.

    Ties go to the smaller query id, so that the choice is always the same. There are fewer if fewer differ.
    """
    difference = (one[measure] - other[measure].reindex(one.index)).sort_index()
    first = difference[difference > 0].sort_values(ascending=False, kind="stable").index
    second = difference[difference < 0].sort_values(kind="stable").index
    chosen: list[str] = []
    for position in range(max(len(first), len(second))):
        chosen.extend(str(side[position]) for side in (first, second) if position < len(side))
    return chosen[:count]


def collect_cases(
    query_ids: Sequence[str],
    runs: Mapping[str, Path],
    relevant: Mapping[str, Sequence[str]],
    query_text: Callable[[str], str],
    passage_texts: Callable[[set[str]], Mapping[str, str]],
    shown: int = 3,
) -> list[Case]:
    """Return an example for each query: its relevant passages, and the first passages of every row.

    Args:
        query_ids: The queries.
        runs: The run file of each row.
        relevant: The relevant passages of every query.
        query_text: Returns the text of a query.
        passage_texts: Returns the texts of passages, by their ids. It may read a whole collection: it is called once.
        shown: The number of passages of a row.
    """
    rankings = {row: _rankings(path, query_ids) for row, path in runs.items()}
    wanted = {id_ for found in rankings.values() for ids in found.values() for id_ in ids[:shown]}
    wanted |= {id_ for query in query_ids for id_ in relevant.get(query, ())}
    texts = passage_texts(wanted)

    def passages(query_id: str, ids: Sequence[str]) -> list[CasePassage]:
        return [CasePassage(id_, texts[id_], id_ in relevant.get(query_id, ())) for id_ in ids]

    cases = []
    for query_id in query_ids:
        right = relevant.get(query_id, ())
        results = []
        for row, found in rankings.items():
            ranking = found[query_id]
            ranks = [rank for rank, id_ in enumerate(ranking, start=1) if id_ in right]
            results.append(CaseResult(row, passages(query_id, ranking[:shown]), ranks[0] if ranks else None))
        cases.append(Case(query_id, query_text(query_id), passages(query_id, right), results))
    return cases


def _rankings(path: Path, query_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the passage ids of a few queries in the order of a run file."""
    found: dict[str, list[str]] = {query_id: [] for query_id in query_ids}
    starts = tuple(query_id + blank for query_id in query_ids for blank in " \t")
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(starts):
                query_id, _, passage_id, _ = line.split(maxsplit=3)
                found[query_id].append(passage_id)
    return found
