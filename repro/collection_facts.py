"""What a report says of the collections that its rows were measured on, where not all were measured on the same."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports.model import CollectionFacts, Group
from repro.origin import SPLIT, StageResults
from repro.table import RowSpec, Table
from simlm.data.collections import Collection
from simlm.data.domains import HALVES
from simlm.data.insuranceqa import half_domains
from simlm.stages.runs import RunStage

DESCRIPTIONS = {
    "insuranceqa": "InsuranceQA (Feng et al., 2015), the English questions and answers of insuranceqa-data 1.2.",
    "insuranceqa-smoke": "The first passages and questions of InsuranceQA: for tests, the figures mean nothing.",
}


def facts(collection: Collection, numbers: Mapping[str, Any], split: str = SPLIT) -> CollectionFacts:
    """What a report says of a collection, from the numbers that its stage left."""
    queries = numbers.get("splits", {}).get(split, {}).get("queries", 0)
    return CollectionFacts(
        name=collection.name,
        split=split,
        passages=numbers["passages"],
        queries=queries,
        description=_description(collection.name) or collection.description,
        facts=dict(numbers),
    )


def _description(name: str) -> str:
    for half in HALVES:
        if name.endswith(f"-{half}"):
            return (
                f"One of two halves of {name.removesuffix(f'-{half}')} of whole domains: "
                f"{', '.join(sorted(half_domains(half)))}."
            )
    return DESCRIPTIONS.get(name, "")


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
