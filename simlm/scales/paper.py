"""paper: MS MARCO, BERT-base and ELECTRA-base, with the values of Tables 11 and 13; GPUs and a network.

Where paper and released implementation differ, or the paper is silent:

- warm-up is logarithmic in every stage, as DeepSpeed's default made it in the released runs ("log"; the paper says
  warm-up and no more, and the released code warms up linearly when torch launches it: "linear");
- the frozen generator keeps its dropout in training, as in the released trainer (the paper says frozen: False);
- epochs are counted over the 502,939 train queries that have a relevant passage, in whole batches rounded up, as the
  released trainer counts them. Its own lists hold fewer: those without an official negative are dropped, and here one
  in a hundred is set aside as valid (`simlm.data.released_archive`);
- an epoch of fine-tuning ends with the queries that are fewer than a batch, a query's positives take turns in the order
  of the qrels, and the layer norm before the generator's output has the epsilon of transformers 4.15, all as released;
- the loss of pre-training is averaged over micro-batches of 64 passages, as released (the paper's Equation 2 averages
  within each passage);
- 4,096 passages are held out from pre-training, 16 of 64 passages kept for R-Drop, and the seeds are the released
  code's; the paper names none;
- checkpoints are chosen on valid, with the same passages each time, where the released code chose them on dev, which
  the paper reports, with others in each epoch;
- ELECTRA as a bi-encoder trains 6 epochs at 4e-5 (Table 1's footnote), all other starts as Table 13 has it.

Of Natural Questions `simlm.scales.paper_nq` has what is otherwise; docs/paper-scale.md has all that departs from the
released implementation.

BM25 and the fusion have grids of their own, tuned on valid; nothing else is tuned.
"""

import math
from functools import partial

from simlm.data.catalogue import MSMARCO
from simlm.scales.mini import mini
from simlm.scales.scale import Scale
from simlm.scales.settings import (
    Optimisation,
    PretrainingSettings,
    RerankerSettings,
    SearchSettings,
    negatives_settings,
    retriever_settings,
)

TRAIN_QUERIES = MSMARCO.queries["train"] + MSMARCO.queries["valid"]
"""MS MARCO's 502,939 train queries with a relevant passage."""
ENCODER = "bert-base-uncased"
GENERATOR = "google/electra-base-generator"
DISCRIMINATOR = "google/electra-base-discriminator"
ROBERTA = "roberta-base"
BATCH = 64
"""Queries an update, in every stage of fine-tuning."""
_retriever = partial(retriever_settings, temperature=0.02, passage_length=144, evaluation_queries=6980)


def paper() -> Scale:
    """Return the scale's settings, new objects at each call."""
    grids = mini()
    return Scale(
        name="paper",
        collection=MSMARCO.name,
        vocabulary=ENCODER,
        encoder=ENCODER,
        generator=GENERATOR,
        stand_in=None,
        generator_training=None,
        pretraining=PretrainingSettings.C(
            optimisation=_optimisation(80_000, 3e-4, seed=45678, batch=2048, warmup=4000, keep_last=False),
            max_length=144,
            encoder_rate=0.3,
            decoder_rate=0.5,
            generator_dropout=True,
            held_out=4096,
            micro_batch=64,
            generator_epsilon=1e-5,
        ),
        pretraining_rates={},
        retriever=_retriever(_optimisation(epochs(3), 2e-5, seed=1234), passages=16, evaluations=0),
        distillation=_retriever(_optimisation(epochs(6), 3e-5, seed=123), passages=24, evaluations=6),
        alpha=0.2,
        reranker_start="electra",
        reranker=RerankerSettings.C(
            optimisation=_optimisation(epochs(3), 3e-5, seed=987),
            passages_per_query=64,
            kept_passages=16,
            max_length=192,
            dropout=0.1,
            negatives=negatives_settings(),
            evaluations=3,
            evaluation_queries=6980,
            rerank_depth=200,
        ),
        search=SearchSettings.C(evaluation_depth=1000, mining_depth=200),
        tried={},
        qrels_order=True,
        bm25_grid=grids.bm25_grid,
        fusion_grid=grids.fusion_grid,
        extra_test_splits=tuple(MSMARCO.extra_test_splits),
        starts={"electra": DISCRIMINATOR, "roberta": ROBERTA},
        retrievers={"electra": _retriever(_optimisation(epochs(6), 4e-5, seed=1234), passages=16, evaluations=0)},
    )


def epochs(count: int) -> int:
    """Return the updates in which a stage of fine-tuning sees every train query ``count`` times."""
    return count * math.ceil(TRAIN_QUERIES / BATCH)


def _optimisation(
    steps: int, learning_rate: float, seed: int, batch: int = BATCH, warmup: int = 1000, keep_last: bool = True
) -> Optimisation:
    return Optimisation.C(
        learning_rate=learning_rate,
        batch_size=batch,
        steps=steps,
        warmup_steps=warmup,
        schedule="log",
        seed=seed,
        keep_last=keep_last,
    )
