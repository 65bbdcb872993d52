"""The cross-encoder re-ranker, its teacher scores, and re-ranked runs (Section 3.2)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from experimaestro import Param

from simlm.scales.settings import NegativesSettings, RerankerSettings
from simlm.stages.models import EncoderStage
from simlm.stages.runs import MINED_SPLIT, RunStage
from simlm.workflow.resources import Choices
from simlm.workflow.stage import Stage

BUCKETS = 4
BATCH_TOKENS = 16_384
LISTS_AT_A_TIME = 2_000


class TrainReranker(EncoderStage):
    """Listwise training with R-Drop on the candidates of a retriever; keeps the best top-1 accuracy on valid."""

    shared = True

    start: Param[EncoderStage]
    candidates: Param[RunStage]
    settings: Param[RerankerSettings]

    def run(self) -> dict[str, Any]:
        import torch

        from simlm.data.inputs import Specials
        from simlm.distributed import is_first, processes
        from simlm.finetuning.datasets import RerankerCollator, RerankerGroups
        from simlm.finetuning.fit import texts_that_fit
        from simlm.finetuning.reranker import Reranker
        from simlm.models.load import load_reranker_start
        from simlm.models.save import save_model
        from simlm.stages.evaluations import RerankerEvaluation
        from simlm.stages.negatives import negative_lists
        from simlm.stages.training import PACKED_ON, numbers_of, plan, prepare_torch
        from simlm.training.trainer import train

        device = prepare_torch(self.choices)
        settings, collection = self.settings, self.candidates.data.open()
        seed = settings.optimisation.seed
        torch.manual_seed(seed)
        encoder = load_reranker_start(self.start.model, collection.tokenizer, settings.dropout)
        model = Reranker(encoder, BUCKETS if device.type == "cpu" else 1).to(device)
        groups = RerankerGroups(
            collection,
            "train",
            negative_lists(self.candidates, "train", settings.negatives, seed),
            settings.passages_per_query,
            seed,
            settings.max_length,
        )
        # The loss is a mean over queries: each process takes its part of them, as many at once as there is room for.
        micro_batch = -(-min(settings.optimisation.batch_size, len(groups)) // processes())
        passes = 2 * min(settings.kept_passages, settings.passages_per_query)  # R-Drop's
        if fit := texts_that_fit(encoder.config, settings.max_length, device):
            micro_batch = max(1, min(micro_batch, fit // passes))
        specials, packed = Specials.of(collection.tokenizer), None
        if device.type in PACKED_ON:
            from simlm.packed.training import packed_reranker

            packed = packed_reranker(model, settings.kept_passages, specials.pad, settings.max_length, device)
        outcome = train(
            model,
            groups,
            np.zeros(len(groups), dtype=np.int64),
            RerankerCollator(specials, settings.kept_passages),
            plan(settings.optimisation, settings.evaluations, "accuracy", micro_batch),
            self.work,
            "re-ranker",
            RerankerEvaluation.of(self, collection, device, packed is not None),
            packed=packed,
        )
        figures = numbers_of(self, outcome)
        what = f"cross-encoder re-ranker fine-tuned on {self.candidates.data.collection_name}"
        if is_first():
            save_model(encoder.cpu(), collection.tokenizer, self.model, what, figures)
        return figures


class TeacherScoresOf(Stage):
    """The re-ranker's raw logits for the pairs that distillation's windows will draw, and for no others.

    Lists are scored ``LISTS_AT_A_TIME``, each block by one process; an interrupted attempt's blocks are kept.
    """

    shared = True

    reranker: Param[TrainReranker]
    negatives: Param[RunStage]
    lists: Param[NegativesSettings]
    passages_per_query: Param[int]
    steps: Param[int]
    batch_size: Param[int]
    seed: Param[int]
    max_length: Param[int]

    def run(self) -> dict[str, Any]:
        from simlm.distributed import is_first, processes, rank, wait_for_all
        from simlm.finetuning.teacher import write_teacher_scores
        from simlm.progress import Bar
        from simlm.stages.negatives import negative_lists

        lists = negative_lists(self.negatives, MINED_SPLIT, self.lists, self.seed)
        score = scorer(self.choices, self.reranker, self.negatives, MINED_SPLIT, self.max_length)
        ranges = lists.blocks(LISTS_AT_A_TIME)
        epochs = -(-self.steps // max(1, len(lists) // self.batch_size))
        window = (epochs, self.seed, self.passages_per_query)
        size = sum(len(lists.drawn(*window, *block)[0]) for block in ranges)

        folder = self.work / "scores"
        folder.mkdir(parents=True, exist_ok=True)
        with Bar(total=len(ranges), desc="teacher scores", unit=" blocks") as bar:
            for number, block in enumerate(ranges):
                path = folder / f"{block[0]}.npy"
                if number % processes() == rank() and not path.is_file():
                    partial = path.with_suffix(".partial.npy")
                    np.save(partial, score(*lists.drawn(*window, *block)))
                    partial.replace(path)
                bar.update(1)
        wait_for_all()

        def blocks() -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
            for block in ranges:
                yield *lists.drawn(*window, *block), np.load(folder / f"{block[0]}.npy")

        if is_first():
            write_teacher_scores(self.folder / "scores", size, blocks())
        return {"pairs": size}


class Rerank(RunStage):
    """The top ``depth`` of a run re-scored by a re-ranker, ours or a published one, the rest of the run behind them."""

    shared = True

    reranker: Param[EncoderStage]
    candidates: Param[RunStage]
    splits: Param[list[str]]
    depth: Param[int]
    max_length: Param[int]

    tag = "re-ranked"

    def run(self) -> dict[str, Any]:
        from simlm.distributed import is_first
        from simlm.retrieval.rerank import rerank

        figures: dict[str, Any] = {}
        collection = self.data.open()
        for split in self.splits:
            score = scorer(self.choices, self.reranker, self.candidates, split, self.max_length, together=True)
            # A run's queries stand in the store's order, so a place in the run is the query's index.
            run = rerank(self.candidates.load(split), self.depth, score)
            if is_first():
                figures |= self.leave(split, run, collection)
        return figures


def scorer(
    choices: Choices, reranker: EncoderStage, run: RunStage, split: str, max_length: int, together: bool = False
) -> Any:
    """``scorer(queries, passages)`` -> logits, both given by index in the split and in the collection.

    ``together``: all processes call it with the same pairs and share the work (`PairScorer`).
    """
    from simlm.finetuning.datasets import Pairs
    from simlm.finetuning.reranker import Reranker
    from simlm.finetuning.scoring import PairScorer
    from simlm.models.load import load_reranker
    from simlm.packed.inference import packed_scorer
    from simlm.stages.training import PACKED_ON, prepare_torch

    device = prepare_torch(choices)
    collection = run.data.open()
    model = Reranker(load_reranker(reranker.model, collection.tokenizer)).to(device)
    pairs = Pairs(collection, split, max_length)
    if device.type not in PACKED_ON:
        return PairScorer(model, pairs, BATCH_TOKENS, together)
    packs = packed_scorer(model, pairs.specials.pad)
    return PairScorer(model, pairs, packs.tokens, together, packs)
