"""One of two gloo processes of `test_two_processes`: python -m tests.baselines.two_processes FOLDER."""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from baselines import multi_vector
from baselines.encoder import Texts, load_encoder
from baselines.released import SearchTokens
from simlm.data.inputs import Specials
from simlm.data.tokenizer import PieceMaker, load_tokenizer
from simlm.data.tokens import TokenStore
from simlm.packed.layouts import Inference
from simlm.packed.texts import Padded
from simlm.retrieval.dense import EncoderSide, search_splits
from simlm.retrieval.runs import Run
from simlm.workflow.resources import Choices
from tests.pairs import meet, part

PASSAGES, QUERIES, DEPTH = 2_100, 300, 7
"""Three batches of passages, and two blocks of queries."""


TOKEN_PASSAGES, TOKEN_DEPTH = 37, 20
"""Three rounds of blocks to encode, the last has one block; five blocks to search, with fewer than the depth."""
QUESTIONS = {"valid": ["query 3", "text 1"], "test": ["title 2", "9 8 7", "text 12"]}


def searched(folder: Path, output: Path) -> dict[str, Any]:
    """What a stage leaves in ``output`` for the models and stores in ``folder``: titles, prompts, two encoders."""
    tokenizer = load_tokenizer(folder / "passages")
    specials, maker = Specials.of(tokenizer), PieceMaker(tokenizer, 512)
    passage_prompt, query_prompt = (np.array(pieces, dtype=np.int32) for pieces in maker(["text : ", "query : "]))
    stores = {name: TokenStore.open(folder / "stores" / name) for name in ("passages", "test")}
    collection = SimpleNamespace(
        passages=stores["passages"], queries=lambda split: stores[split], own_passages=lambda split: None
    )

    def leave(split: str, run: Run, _: Any) -> dict[str, float]:
        output.mkdir(parents=True)
        np.savez(output / f"{split}.npz", ids=run.query_ids, scores=run.scores, indices=run.indices)
        return {f"{split} queries": float(len(run.query_ids))}

    def inference(model: Any) -> Inference:
        return Inference(model, Padded(specials), torch.device("cpu"))

    prompted = EncoderSide(
        inference(load_encoder(folder / "passages", "mean", normalised=True)),
        14,
        specials,
        lambda store: Texts(store, "separated", passage_prompt, specials),
    )
    asking = EncoderSide(
        inference(load_encoder(folder / "queries", "cls")),
        9,
        specials,
        lambda store: Texts(store, "none", query_prompt, specials),
    )
    places = output.with_suffix(".work"), output
    return search_splits(collection, prompted, asking, {"test": DEPTH}, "test", False, *places, leave)  # type: ignore


def searched_by_tokens(model: Path, output: Path) -> dict[str, Any]:
    """What the stage leaves in ``output``, by a multi-vector model; every text is there twice, so that scores tie."""
    texts = [SimpleNamespace(id=f"p{n}", text=f"text {n // 2} of {n // 6}") for n in range(TOKEN_PASSAGES)]
    questions = {split: [SimpleNamespace(text=text) for text in asked] for split, asked in QUESTIONS.items()}
    collection = SimpleNamespace(
        passages=texts, queries=lambda split: Ids(len(questions[split])), own_passages=lambda split: None
    )
    source = SimpleNamespace(passages=lambda: iter(texts), queries=lambda split: questions[split])
    output.mkdir(parents=True, exist_ok=True)

    def leave(split: str, run: Run, _: Any) -> dict[str, float]:
        np.savez(output / f"{split}.npz", ids=run.query_ids, scores=run.scores, indices=run.indices)
        return {f"{split} queries": float(len(run.query_ids))}

    stage: Any = SimpleNamespace(
        data=SimpleNamespace(open=lambda: collection, source=lambda: source),
        model=SimpleNamespace(model=model),
        splits=list(questions),
        depth=TOKEN_DEPTH,
        choices=Choices("cpu"),
        work=output.with_suffix(".work"),
        folder=output,
        leave=leave,
    )
    small = patch.multiple(multi_vector, TEXTS=8, BLOCK=8)
    with small, patch.object(os, "sched_getaffinity", lambda _: {0}):
        figures: dict[str, Any] = SearchTokens.run(stage)
    return figures


class Ids:
    """A store of so many queries, of which only ids are read."""

    def __init__(self, count: int) -> None:
        self.ids = [f"q{n}" for n in range(count)]

    def __len__(self) -> int:
        return len(self.ids)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    place = meet()
    for name, figures in (
        ("figures", searched(folder, folder / "two")),
        ("token-figures", searched_by_tokens(folder / "model", folder / "tokens-two")),
    ):
        (folder / f"{name}-{place}.json").write_text(json.dumps(figures))
    part()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
