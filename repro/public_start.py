"""Rows that stand on a public model that the paper did not start from: what is said of them, and of orders of them.

That is the start of mini's re-ranker. It knows more than any stand-in of ours, from outside the comparison.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from reports.model import CheckedOrder
from repro.training_diagnostics import below
from simlm.stages.models import FirstLayers
from simlm.stages.reranker import Rerank
from simlm.workflow.stage import Stage


def public_start(runs: Iterable[Stage]) -> FirstLayers | None:
    """Return the part of a public model that one of some runs stands on, None where none does."""
    return next((one for run in runs for one in below(run).values() if isinstance(one, FirstLayers)), None)


def confounded(claims: Iterable[CheckedOrder], runs: Mapping[str, Stage]) -> list[CheckedOrder]:
    """Return a report's checked orders; one of which a row stands on a public start says so."""
    return [
        replace(claim, public_start=public_start([runs[claim.lower], runs[claim.higher]]) is not None)
        for claim in claims
    ]


def noted(note: str, run: Stage) -> str:
    """Return a row's note with whose teacher its run had, where that starts from a public model."""
    start = public_start([run])
    if start is None:
        return note
    said = (
        f"{'The re-ranker' if isinstance(run, Rerank) else 'Its teacher, the re-ranker,'} starts from the first "
        f"{start.layers} layers of {start.start.name}, a public model with its own tokenizer, which its authors "
        "fine-tuned on a billion pairs of texts, MS MARCO's among them: supervision from outside this comparison."
    )
    return f"{note} {said}".strip()
