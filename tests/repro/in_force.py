"""What a scale sets, spelt as reports spell it, by the names of the paper's rows in Tables 11 and 13."""

from typing import Any

from simlm.scales import Scale

SETTINGS = {"retriever_1_2": "retriever", "retriever_distill": "distillation", "reranker": "reranker"}
"""The column of Table 13 that each of a scale's settings of fine-tuning stands in."""


def of_table_11(scale: Scale) -> dict[str, str]:
    pre = scale.pretraining
    rates = [f"{start} {rate:g}" for start, rate in scale.pretraining_rates.items()]
    return {
        "initialisation": "bert-base-uncased" if scale.name == "paper" else "base stand-in (MLM on the corpus)",
        "batch size": str(pre.optimisation.batch_size),
        "text length": str(pre.max_length),
        "learning rate": "; ".join([f"{pre.optimisation.learning_rate:g}", *rates]),
        "warmup steps": str(pre.optimisation.warmup_steps),
        "train steps": str(pre.optimisation.steps),
        "encoder replace rate": "30%",
        "decoder replace rate": "50%",
    }


def of_table_13(scale: Scale, column: str) -> dict[str, str]:
    settings: Any = getattr(scale, SETTINGS[column])
    optimisation = settings.optimisation
    ours = {
        "learning rate": f"{optimisation.learning_rate:g}",
        "warmup steps": str(optimisation.warmup_steps),
        "batch size": str(optimisation.batch_size),
        "epochs": str(optimisation.steps),
        "negatives depth": str(settings.negatives.depth),
        "negatives per query": str(settings.passages_per_query - 1),
    }
    if column == "reranker":
        return ours | {
            "rerank depth": str(settings.rerank_depth),
            "passage length": str(settings.max_length),
            "initialisation": scale.reranker_start,
        }
    ours |= {
        "temperature": f"{settings.temperature:g}",
        "query length": str(settings.query_length),
        "passage length": str(settings.passage_length),
    }
    return ours | ({"alpha": f"{scale.alpha:g}"} if column == "retriever_distill" else {})
