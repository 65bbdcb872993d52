"""Training the re-ranker, and scoring with it: teacher scores and re-ranked runs (Section 3.2)."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simlm.data.inputs import Specials
from simlm.data.store import TokenisedCollection
from simlm.distributed import is_first, own_device, processes, rank, wait_for_all
from simlm.files import intact, sealed_file
from simlm.finetuning.datasets import Pairs, RerankerGroups
from simlm.finetuning.evaluations import RerankerEvaluation, mrr_of_run
from simlm.finetuning.negatives import NegativeLists
from simlm.finetuning.reranker import Reranker, RerankerCollator
from simlm.finetuning.scoring import PairScorer
from simlm.finetuning.teacher import write_teacher_scores
from simlm.models.load import load_reranker, load_reranker_start
from simlm.models.save import save_model
from simlm.packed import MAX_TOKENS, ROUND_PAIRS_TO
from simlm.packed.layouts import Inference, inference_copy, inference_layout, pieces_on, training_layout
from simlm.packed.texts import Packed
from simlm.progress import Bar
from simlm.retrieval.rerank import rerank
from simlm.retrieval.runs import Run
from simlm.scales.settings import RerankerSettings
from simlm.training.batches import MicroBatches, Packs, epochs_in
from simlm.training.plan import Plan
from simlm.training.trainer import train

LISTS_AT_A_TIME = 2_000
"""Lists whose pairs are scored, and kept, together."""


def train_reranker(
    collection: TokenisedCollection,
    start: Path,
    lists: Callable[[str], NegativeLists],
    retrieved: Run,
    settings: RerankerSettings,
    device_kind: str,
    half: bool,
    work: Path,
    output: Path,
    model: Path,
) -> dict[str, Any]:
    """Train a cross-encoder listwise with R-Drop and save the best by top-1 accuracy on valid; return the figures.

    Args:
        collection: the passages and queries.
        start: the folder of the encoder that it starts from.
        lists: returns the positives and candidates of a split.
        retrieved: the run of valid that its candidates there come from, which the re-ranker is compared with.
        settings: Table 13's column.
        device_kind: "cpu" or "cuda".
        half: whether products are computed in bfloat16.
        work: where an unfinished training resumes from.
        output: where the log is left.
        model: the folder that the re-ranker is saved in.
    """
    device = own_device(device_kind)
    seed = settings.optimisation.seed
    torch.manual_seed(seed)
    encoder = load_reranker_start(start, collection.tokenizer, settings.dropout)
    reranker = Reranker(encoder).to(device)

    def groups_of(split: str, own: NegativeLists, passages: int) -> RerankerGroups:
        return RerankerGroups(collection, split, own, passages, seed, settings.max_length)

    groups = groups_of("train", lists("train"), settings.passages_per_query)
    specials = Specials.of(collection.tokenizer)
    layout = training_layout(
        reranker, encoder.electra, specials, settings.max_length, device, MAX_TOKENS, ROUND_PAIRS_TO
    )
    collate = RerankerCollator(layout, settings.kept_passages)
    unseen = inference_layout(encoder.electra, specials, settings.max_length, device, pieces_on(device))
    subset = groups_of("valid", lists("valid").first(settings.evaluation_queries), settings.passages_on_valid)
    # The loss is a mean over queries: each process takes its part of them.
    micro_batch = -(-min(settings.optimisation.batch_size, len(groups)) // processes())
    outcome = train(
        reranker,
        groups,
        Packs(collate.parts) if isinstance(layout, Packed) else MicroBatches(collate),
        Plan.of(settings.optimisation, half, micro_batch, settings.evaluations, "accuracy"),
        work,
        "re-ranker",
        RerankerEvaluation(subset, unseen, device, half),
    )
    kept = (one["eval_mrr"] for one in outcome.log if "eval_mrr" in one and one["step"] == outcome.best_step)
    figures = outcome.leave(output) | {"mrr": next(kept, None), "retriever_mrr": mrr_of_run(subset, retrieved)}
    if is_first():
        what = f"cross-encoder re-ranker fine-tuned on {collection.meta['name']}"
        save_model(encoder.cpu(), collection.tokenizer, model, what, figures)
    return figures


def score_for_teaching(
    collection: TokenisedCollection,
    reranker: Path,
    lists: NegativeLists,
    split: str,
    steps: int,
    batch_size: int,
    keep_last: bool,
    seed: int,
    passages_per_query: int,
    max_length: int,
    device_kind: str,
    half: bool,
    work: Path,
    output: Path,
) -> dict[str, Any]:
    """Leave the teacher's logits for the pairs that distillation will draw, and for no others; return the figures.

    Lists are scored ``LISTS_AT_A_TIME``, each block by one process; an interrupted attempt's blocks are kept.

    Args:
        collection: the passages and queries.
        reranker: the folder of the teacher.
        lists: the lists that distillation draws from.
        split: the split of their queries.
        steps, batch_size, keep_last, seed, passages_per_query: those of the distillation, which say what it draws.
        max_length: most tokens of a pair.
        device_kind: "cpu" or "cuda".
        half: whether products are computed in bfloat16.
        work: where scored blocks are kept.
        output: the folder that the scores are left in.
    """
    score = _pair_scorer(collection, reranker, split, max_length, device_kind, half, together=False)
    ranges = lists.blocks(LISTS_AT_A_TIME)
    epochs = epochs_in(steps, len(lists), batch_size, keep_last)
    drawn = partial(lists.drawn, epochs, seed, passages_per_query)
    size = sum(len(drawn(*block)[0]) for block in ranges)
    folder = work / "scores"
    folder.mkdir(parents=True, exist_ok=True)
    with Bar(total=len(ranges), desc="teacher scores", unit=" blocks") as bar:
        for number, block in enumerate(ranges):
            path = folder / f"{block[0]}.npy"
            if number % processes() == rank() and not intact(path):
                with sealed_file(path) as temporary:
                    np.save(temporary, score(*drawn(*block)))
            bar.update(1)
    wait_for_all()

    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for block in ranges:
            yield *drawn(*block), np.load(folder / f"{block[0]}.npy")

    if is_first():
        write_teacher_scores(output, size, blocks())
    return {"pairs": size}


def rerank_splits(
    collection: TokenisedCollection,
    reranker: Path,
    candidates: Callable[[str], Run],
    splits: Sequence[str],
    depth: int,
    max_length: int,
    device_kind: str,
    half: bool,
    leave: Callable[[str, Run, TokenisedCollection], dict[str, float]],
) -> dict[str, Any]:
    """Re-rank the runs of some splits and leave the new ones; return the figures.

    Args:
        collection: the passages and queries.
        reranker: the folder of the model.
        candidates: returns the run of a split.
        splits: the splits.
        depth: places of a ranking that are scored.
        max_length: most tokens of a pair.
        device_kind: "cpu" or "cuda".
        half: whether products are computed in bfloat16.
        leave: called with each split's new run.
    """
    figures: dict[str, Any] = {}
    for split in splits:
        score = _pair_scorer(collection, reranker, split, max_length, device_kind, half, together=True)
        # A run's queries stand in the store's order, so a place in the run is the query's index.
        run = rerank(candidates(split), depth, score)
        if is_first():
            figures |= leave(split, run, collection)
    return figures


def _pair_scorer(
    collection: TokenisedCollection,
    reranker: Path,
    split: str,
    max_length: int,
    device_kind: str,
    half: bool,
    together: bool,
) -> PairScorer:
    """Load a re-ranker that scores pairs, given by index in a split and in the collection.

    With ``together`` all processes are given the same pairs and share the work.
    """
    device = own_device(device_kind)
    model = Reranker(load_reranker(reranker, collection.tokenizer)).to(device).eval()
    pairs = Pairs(collection, split, max_length)
    layout = inference_layout(model.model.electra, pairs.specials, max_length, device)
    score = inference_copy(model, model.model.electra, device).score
    return PairScorer(Inference(score, layout, device, half), pairs, together=together)
