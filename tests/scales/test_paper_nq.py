"""paper scale on Natural Questions: the values of its own procedure, and nothing of it anywhere else."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from experimaestro import Config

from simlm.scales import NAMES, Scale, on_collection, open_scale


def plain(value: Any) -> Any:
    """A setting as numbers and text."""
    if isinstance(value, Config):
        names = value.__xpmtype__.arguments  # type: ignore[attr-defined]
        return {name: plain(getattr(value, name)) for name in names if not name.startswith("_")}
    return value


def changes(scale: Scale) -> dict[str, Any]:
    """What is otherwise than on the scale's own collection, by path."""
    found: dict[str, Any] = {}

    def walk(path: str, ours: Any, theirs: Any) -> None:
        if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
            for name in ours:
                walk(f"{path}.{name}".lstrip("."), ours[name], theirs[name])
        elif ours != theirs:
            found[path] = ours

    own = open_scale(scale.name)
    for one in fields(scale):
        walk(one.name, plain(getattr(scale, one.name)), plain(getattr(own, one.name)))
    return found


def test_what_is_otherwise_than_on_ms_marco_at_paper_scale(tmp_path: Path) -> None:
    questions = tmp_path / "nq-test.qa.csv"
    questions.write_text("who?\t['me']\n", encoding="utf-8")
    found = changes(open_scale("paper", f"nq:{questions}"))
    assert (
        found.pop("collection") == "nq" and found.pop("location") == str(questions) and len(found.pop("digest")) == 64
    )
    assert found == {
        "by_answers": True,
        "extra_test_splits": (),
        "pretraining.optimisation.steps": 200_000,
        "retriever.optimisation.steps": 20_000,
        "retriever.optimisation.learning_rate": 1e-5,
        "retriever.optimisation.seed": 5678,
        "retriever.passage_length": 192,
        "retriever.negatives.depth": 100,
        "retriever.negatives.total": 100,
        "retriever.evaluation_queries": 6_515,
        "retriever.rising": 1_000,
        "retriever.scale_loss": False,
        "distillation.optimisation.steps": 15 * 1_840,  # 117,760 lists in batches of 64
        "distillation.passages_per_query": 16,
        "distillation.passage_length": 192,
        "distillation.negatives.depth": 100,
        "distillation.negatives.total": 100,
        "distillation.evaluations": 15,
        "distillation.evaluation_queries": 6_515,
        "distillation.rising": 1_000,
        "distillation.scale_loss": False,
        "alpha": 1.0,
        "reranker.optimisation.steps": 20_000,
        "reranker.passages_per_query": 32,
        "reranker.max_length": 224,
        "reranker.negatives.depth": 100,
        "reranker.negatives.total": 100,
        "reranker.evaluations": 10,
        "reranker.evaluation_queries": 6_515,
        "search.evaluation_depth": 100,
        "search.mining_depth": 100,
        "retrievers": {},
    }


@pytest.mark.parametrize("name", [name for name in NAMES if name != "paper"])
def test_a_smaller_scale_has_one_procedure(name: str) -> None:
    assert changes(on_collection(open_scale(name), "nq")) == {"collection": "nq"}
