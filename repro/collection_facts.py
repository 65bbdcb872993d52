"""What a report says of the collections that its rows were measured on, where not all were measured on the same."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports.model import CollectionFacts, Group
from repro.origin import SPLIT, StageResults
from repro.table import RowSpec, Table
from simlm.data.collection import Collection
from simlm.stages.runs import RunStage


def facts(collection: Collection, numbers: Mapping[str, Any], split: str = SPLIT) -> CollectionFacts:
    """What a report says of a collection, from the numbers that its stage left."""
    queries = numbers.get("splits", {}).get(split, {}).get("queries", 0)
    return CollectionFacts(
        name=collection.name,
        split=split,
        passages=numbers["passages"],
        queries=queries,
        description=collection.description,
        facts=dict(numbers),
    )


def groups(table: Table, rows: Sequence[RowSpec], runs: Mapping[str, RunStage], made: StageResults) -> list[Group]:
    """The table's groups that some of ``rows`` are in, with the facts of the collection that they were measured on."""
    found = []
    for spec in table.groups:
        keys = [row.key for row in rows if row.group == spec.key]
        if keys:
            data = runs[keys[0]].data
            found.append(
                Group(
                    key=spec.key,
                    collection=facts(data.source(), made.numbers(data), spec.split),
                    measures=list(spec.measures),
                    columns=list(spec.columns),
                    baselines=[key for key in spec.baselines if key in keys],
                )
            )
    return found
