"""Fine-tuning over a tiny collection, on packs or on padded batches."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from simlm.data.collection import Passage, Query
from simlm.data.store import TokenisedCollection, tokenise_collection
from simlm.finetuning.negatives import NegativeLists, lists_of_split
from simlm.finetuning.teacher import write_teacher_scores
from simlm.models.save import save_model
from simlm.packed import layouts
from simlm.retrieval.runs import Run
from simlm.scales.settings import NegativesSettings, Optimisation, RerankerSettings, RetrieverSettings
from simlm.stages.work.reranker import train_reranker
from simlm.stages.work.retriever import train_retriever
from tests.pretraining.toys import TOKENIZER, WORDS, bert
from tests.rows import collection_of

KINDS = ("contrastive", "distilled", "re-ranker")
STEPS, GROUP, SEED = 8, 4, 3
QUERIES = {"train": 21, "valid": 9}
FIRST = {"train": 0, "valid": 21}
NEGATIVES = NegativesSettings.C(depth=GROUP - 1, total=GROUP - 1)
"""Each query has passages of its own: equal ones rank by their places, or by the last digit of their scores."""


@contextmanager
def packs_on_the_cpu(packed: bool) -> Iterator[None]:
    """Let models compute over packs on the CPU too, as they do on a GPU."""
    before = layouts.packs_pay
    layouts.packs_pay = lambda device: packed
    try:
        yield
    finally:
        layouts.packs_pay = before


def prepare(folder: Path) -> None:
    """A collection, an encoder to start from and a teacher's scores, for all trainings in ``folder``."""
    rng = np.random.default_rng(SEED)
    texts = [" ".join(rng.choice(WORDS, rng.integers(5, 16))) for _ in range(GROUP * sum(QUERIES.values()))]
    passages = [Passage(f"p{number}", WORDS[number % len(WORDS)], text) for number, text in enumerate(texts)]
    splits: dict[str, Any] = {}
    for split, first in FIRST.items():
        own = [GROUP * (first + number) for number in range(QUERIES[split])]
        queries = [Query(f"q{place}", " ".join(texts[place].split()[:4])) for place in own]
        splits[split] = queries, {f"q{place}": {f"p{place}": 1} for place in own}
    collection = tokenise_collection(collection_of("toy", passages, splits), TOKENIZER, folder / "store")
    save_model(bert().bert, TOKENIZER, folder / "start", "toy", {})
    query, passage = lists_of(collection, "train").drawn(STEPS, SEED, GROUP)
    scores = np.random.default_rng(SEED).normal(size=len(query)).astype(np.float32)
    write_teacher_scores(folder / "teacher", len(query), [(query, passage, scores)])


def run_of(collection: TokenisedCollection, split: str) -> Run:
    """A run of the passages that follow each query's own."""
    ids = collection.queries(split).ids
    own = GROUP * (FIRST[split] + np.arange(len(ids)))
    indices = own[:, None] + np.arange(1, GROUP)
    scores = np.broadcast_to(-np.arange(GROUP - 1, dtype=np.float32), indices.shape)
    return Run([ids[number] for number in range(len(ids))], indices, scores)


def lists_of(collection: TokenisedCollection, split: str) -> NegativeLists:
    """Each query's lists from that run."""
    return lists_of_split(run_of(collection, split), collection, split, NEGATIVES, SEED)


def optimisation(batch_size: int) -> Optimisation:
    return Optimisation.C(
        learning_rate=2e-3, batch_size=batch_size, steps=STEPS, warmup_steps=2, schedule="linear", seed=SEED
    )


def run(kind: str, folder: Path, name: str, packed: bool) -> dict[str, Any]:
    """Do the training of that kind in ``folder / name``, on packs or on padded batches; its figures."""
    output = folder / name / "output"
    output.mkdir(parents=True, exist_ok=True)
    collection = TokenisedCollection.open(folder / "store")
    given = collection, folder / "start", partial(lists_of, collection)
    places = "cpu", False, folder / name / "work", output, output / "model"
    with packs_on_the_cpu(packed):
        if kind == "re-ranker":
            settings = RerankerSettings.C(
                optimisation=optimisation(5),  # which two processes do not share evenly
                passages_per_query=GROUP,
                kept_passages=GROUP - 1,
                max_length=32,
                dropout=0.0,
                negatives=NEGATIVES,
                evaluations=2,
                evaluation_queries=9,
                rerank_depth=5,
            )
            return train_reranker(*given, run_of(collection, "valid"), settings, *places)
        distilled = kind == "distilled"
        settings = RetrieverSettings.C(
            optimisation=optimisation(6),
            passages_per_query=GROUP,
            temperature=0.1,
            query_length=12,
            passage_length=24,
            negatives=NEGATIVES,
            evaluations=2 if distilled else 0,
            evaluation_queries=9,
        )
        return train_retriever(*given, settings, folder / "teacher" if distilled else None, 0.2, *places)
