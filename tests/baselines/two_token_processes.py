"""One of two gloo processes of `test_shared_tokens`: python -m tests.baselines.two_token_processes FOLDER."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from baselines import multi_vector
from baselines.released import SearchTokens
from simlm.retrieval.runs import Run
from simlm.stages import training
from simlm.workflow.resources import Choices
from tests.pairs import meet, part

PASSAGES, DEPTH = 37, 20
"""Three rounds of blocks to encode, of which the last has one block; five blocks to search, with fewer than DEPTH."""
QUESTIONS = {"valid": ["query 3", "text 1"], "test": ["title 2", "9 8 7", "text 12"]}


def searched(model: Path, output: Path) -> dict[str, Any]:
    """What the stage leaves in ``output``, by a multi-vector model; every text is there twice, so that scores tie."""
    texts = [SimpleNamespace(text=f"text {n // 2} of {n // 6}") for n in range(PASSAGES)]
    questions = {split: [SimpleNamespace(text=text) for text in asked] for split, asked in QUESTIONS.items()}
    collection = SimpleNamespace(passages=texts, queries=lambda split: Ids(len(questions[split])))
    source = SimpleNamespace(passages=lambda: iter(texts), queries=lambda split: questions[split])
    output.mkdir(parents=True, exist_ok=True)

    def leave(split: str, run: Run, _: Any) -> dict[str, float]:
        np.savez(output / f"{split}.npz", ids=run.query_ids, scores=run.scores, indices=run.indices)
        return {f"{split} queries": float(len(run.query_ids))}

    stage: Any = SimpleNamespace(
        data=SimpleNamespace(open=lambda: collection, source=lambda: source),
        model=SimpleNamespace(model=model),
        splits=list(questions),
        depth=DEPTH,
        choices=Choices("cpu"),
        work=output.with_suffix(".work"),
        folder=output,
        leave=leave,
    )
    small = patch.multiple(multi_vector, TEXTS=8, BLOCK=8)
    with small, patch.object(training, "cores", lambda: 1):
        figures: dict[str, Any] = SearchTokens.run(stage)
    return figures


class Ids:
    """A store of so many queries, of which only ids are read."""

    def __init__(self, count: int) -> None:
        self.ids = [f"q{n}" for n in range(count)]

    def __len__(self) -> int:
        return len(self.ids)


def main(folder: Path) -> None:
    place = meet()
    (folder / f"figures-{place}.json").write_text(json.dumps(searched(folder / "model", folder / "two")))
    part()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
