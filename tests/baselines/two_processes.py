"""One of two gloo processes of `test_shared_search`: python -m tests.baselines.two_processes FOLDER."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from baselines.encoder import Texts, load_encoder
from simlm.data.inputs import Specials
from simlm.data.tokenizer import PieceMaker, load_tokenizer
from simlm.data.tokens import TokenStore
from simlm.packed.layouts import Inference
from simlm.packed.texts import Padded
from simlm.retrieval.dense import EncoderSide, search_splits
from simlm.retrieval.runs import Run
from tests.pairs import meet, part

PASSAGES, QUERIES, DEPTH = 2_100, 300, 7
"""Three batches of passages, and two blocks of queries."""


def searched(folder: Path, output: Path) -> dict[str, Any]:
    """What a stage leaves in ``output`` for the models and stores in ``folder``: titles, prompts, two encoders."""
    tokenizer = load_tokenizer(folder / "passages")
    specials, maker = Specials.of(tokenizer), PieceMaker(tokenizer, 512)
    passage_prompt, query_prompt = (np.array(pieces, dtype=np.int32) for pieces in maker(["text : ", "query : "]))
    stores = {name: TokenStore.open(folder / "stores" / name) for name in ("passages", "test")}
    collection = SimpleNamespace(passages=stores["passages"], queries=lambda split: stores[split])

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


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    place = meet()
    figures = searched(folder, folder / "two")
    (folder / f"figures-{place}.json").write_text(json.dumps(figures))
    part()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
