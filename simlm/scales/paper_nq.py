"""paper scale on Natural Questions (Table 4): what the paper and the released scripts do otherwise than on MS MARCO.

Table 11 has the pre-training on Wikipedia. Table 13 has no column for NQ; what the text or the released scripts give:

- passages of 192 tokens, pairs of 224; 16 passages a question, 32 for the re-ranker, of which 16 are kept;
- 20,000 updates at 1e-5, the released scripts' rate (the paper's text says 5e-6), the re-ranker's at 3e-5;
- distillation for 15 epochs at 3e-5, with a contrastive loss of weight 1 beside it;
- the similarities' multiplier rises from 1 to 50 (temperature 0.02) over 1,000 updates, and several processes do not
  multiply the contrastive loss by their number;
- sets of positives and negatives told apart by answers (`simlm.finetuning.answered`), of runs 100 deep; the first
  negatives' set and the mined one are concatenated, and checkpoints are chosen on all of DPR's dev, with the first
  set's lists alone;
- the retriever's seed is 5678.

Neither says the following, which is chosen here:

- batch, warm-up, query length, re-ranking depth, log schedule and the other seeds are MS MARCO's;
- the multiplier rises and the loss is not multiplied in distillation too, which also has 16 passages a question;
- Retriever1, of which no mined run exists yet, trains on the first negatives' set alone, every later stage on both;
- the first negatives' set is made of our own BM25's run, or of DPR's lists with `--negatives package`;
- an epoch is counted as if no question were dropped from either set;
- the re-ranker is judged ten times, about once an epoch.
"""

import math
from dataclasses import replace

from simlm.data.catalogue import NQ
from simlm.scales.scale import Scale
from simlm.scales.settings import NegativesSettings, varied

TRAIN_QUESTIONS = NQ.queries["train"]
"""DPR's 58,880 train questions of NQ."""
DEPTH = 100
"""Passages of a run: trained on, and measured (Table 4 ends with R@100)."""


def natural_questions(scale: Scale) -> Scale:
    """Return paper scale, whose settings are MS MARCO's, with NQ's settings."""
    passages = {"passages_per_query": 16, "passage_length": 192, "rising": 1_000, "scale_loss": False}
    judged = {
        "negatives": NegativesSettings.C(depth=DEPTH, total=DEPTH),
        "evaluation_queries": NQ.queries["valid"],
    }
    retriever, distillation, reranker = scale.retriever, scale.distillation, scale.reranker
    return replace(
        scale,
        by_answers=True,
        pretraining=varied(scale.pretraining, optimisation=varied(scale.pretraining.optimisation, steps=200_000)),
        retriever=varied(
            retriever,
            optimisation=varied(retriever.optimisation, steps=20_000, learning_rate=1e-5, seed=5678),
            **passages,
            **judged,
        ),
        distillation=varied(
            distillation,
            optimisation=varied(distillation.optimisation, steps=epochs(15, distillation.optimisation.batch_size)),
            **passages,
            **judged | {"evaluations": 15},
        ),
        alpha=1.0,
        reranker=varied(
            reranker,
            optimisation=varied(reranker.optimisation, steps=20_000),
            passages_per_query=32,
            max_length=224,
            evaluations=10,
            **judged,
        ),
        search=varied(scale.search, evaluation_depth=DEPTH, mining_depth=DEPTH),
        retrievers={},
    )


def epochs(count: int, batch: int) -> int:
    """Return the updates in which a stage sees both sets of every train question ``count`` times."""
    return count * math.ceil(2 * TRAIN_QUESTIONS / batch)
