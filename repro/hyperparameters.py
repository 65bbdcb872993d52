"""The hyper-parameters in force beside the paper's (Tables 11 and 13), read from the scale and never typed twice."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from reports.model import HyperParameter
from repro.how_chosen import (
    FOR_MS_MARCO,
    FOR_NQ,
    OF_NQ,
    OPEN,
    OTHER_PUBLIC,
    PUBLIC,
    RELEASED,
    SHARE,
    SIZE,
    THE_PAPERS,
    UNTUNED,
    by_trials,
    how,
    in_words,
    kept,
    row,
    steps,
    tuned,
)
from repro.model_settings import model_settings
from repro.published import published
from repro.trials import (
    ALPHA,
    DROPOUT,
    PRETRAINING_RATE,
    PRETRAINING_UPDATES,
    RATE,
    TEMPERATURE,
    TOKENS,
    UPDATES,
)
from simlm.scales import Scale
from simlm.scales.minilm import LAYERS, MINILM, REPOSITORY
from simlm.scales.scale import FLOAT32
from simlm.scales.settings import Optimisation, RetrieverSettings

TOGETHER = " (query and passage together)"
FINE_TUNING = ("Retriever1/2: ", "Retriever1 (", "distillation: ", "re-ranker: ", "retriever: ")
"""How the names of the settings of Table 13 begin; the others are of Table 11."""
PUBLIC_START = f"first {LAYERS} layers of {REPOSITORY}"
TABLE_1 = {"electra": {"learning rate": "4e-5", "epochs": 6}}
"""The settings in the footnote of Table 1, for a start that is not fine-tuned as Table 13 says."""


def hyperparameters(scale: Scale, tried: Mapping[str, Sequence[float]]) -> list[HyperParameter]:
    """Return the settings of a scale, each with the paper's value and how ours was chosen.

    Args:
        scale: The scale.
        tried: The values of each setting that were tried on valid.
    """
    thirteen = _printed_for_finetuning(scale)
    alpha = thirteen.loc["alpha", "retriever_distill"]
    chosen = in_words(tried, scale.left_out)
    return [
        *model_settings(scale, chosen),
        *_pretraining(scale, chosen),
        *_retriever("Retriever1/2", scale.retriever, thirteen["retriever_1_2"].to_dict(), chosen),
        *_own_retrievers(scale),
        *_retriever("distillation", scale.distillation, thirteen["retriever_distill"].to_dict(), {}),
        tuned("distillation: alpha", scale.alpha, alpha, by_trials(chosen, ALPHA)),
        *_reranker(scale, thirteen["reranker"].to_dict(), chosen),
        *(_only_for_nq(scale) if scale.by_answers else ()),
    ]


def elsewhere(settings: Sequence[HyperParameter]) -> list[HyperParameter]:
    """Return the same for a report on another collection than InsuranceQA, where values were compared on valid."""
    return [replace(one, chosen=one.chosen.replace(" on valid", " on InsuranceQA's valid")) for one in settings]


def _printed_for_finetuning(scale: Scale) -> pd.DataFrame:
    """Return Table 13 by the names of its rows; for Natural Questions each value ends in what it is for."""
    thirteen = published("table13").set_index("hyperparameter")
    if not scale.by_answers:
        return thirteen
    own = published("nq").set_index("hyperparameter")
    return _marked(own, FOR_NQ).combine_first(_marked(thirteen, FOR_MS_MARCO))


def _marked(table: pd.DataFrame, mark: str) -> pd.DataFrame:
    return table.map(lambda cell: f"{cell}{mark}", na_action="ignore")


def _rates(scale: Scale) -> str:
    """Return the pre-training learning rate, and those of the starts that have their own."""
    own = [f"{scale.pretraining.optimisation.learning_rate:g}"]
    return "; ".join(own + [f"{start} {rate:g}" for start, rate in scale.pretraining_rates.items()])


def _pretraining(scale: Scale, tried: Mapping[str, str]) -> list[HyperParameter]:
    column = "wikipedia" if scale.by_answers else "ms_marco"
    paper = published("table11").set_index("hyperparameter")[column].to_dict()
    pre, optimisation = scale.pretraining, scale.pretraining.optimisation
    start, chosen = "base stand-in (word vectors of the corpus)", SIZE
    if isinstance(scale.encoder, str):
        start, chosen = scale.encoder, PUBLIC if scale.has_papers_models else OTHER_PUBLIC
    pieces = row("pre-training: pieces with logits", "the corpus's", "all", "the others have none to learn from")
    return [
        row("pre-training: start", start, paper["initialisation"], chosen),
        *([pieces] if pre.corpus_pieces else []),
        kept("pre-training: batch", optimisation.batch_size, paper["batch size"]),
        row(
            "pre-training: passages averaged over",
            pre.micro_batch or optimisation.batch_size,
            "64 (released code)",
            RELEASED if pre.micro_batch == 64 else "the whole batch",
        ),
        kept(
            "pre-training: tokens a passage",
            pre.max_length,
            paper["text length"],
            by_trials(tried, TOKENS, otherwise=SIZE),
        ),
        tuned("pre-training: learning rate", _rates(scale), paper["learning rate"], by_trials(tried, PRETRAINING_RATE)),
        kept("pre-training: warm-up steps", optimisation.warmup_steps, paper["warmup steps"], SHARE),
        kept(
            "pre-training: steps",
            optimisation.steps,
            paper["train steps"],
            by_trials(tried, PRETRAINING_UPDATES, otherwise=SIZE),
        ),
        _schedule("pre-training", optimisation),
        row("pre-training: encoder replace rate", f"{pre.encoder_rate:.0%}", paper["encoder replace rate"], THE_PAPERS),
        row("pre-training: decoder replace rate", f"{pre.decoder_rate:.0%}", paper["decoder replace rate"], THE_PAPERS),
        row(
            "generator dropout while frozen",
            pre.generator_dropout,
            "off (on in the released runs)",
            RELEASED if pre.generator_dropout else THE_PAPERS,
        ),
    ]


def _schedule(name: str, settings: Optimisation) -> HyperParameter:
    """Return how the learning rate warms up and falls."""
    chosen = RELEASED if settings.schedule == "log" else UNTUNED
    return row(f"{name}: schedule", settings.schedule, "not said (log in the released runs)", chosen)


def _retriever(
    name: str, settings: RetrieverSettings, paper: dict[str, object], tried: Mapping[str, str]
) -> list[HyperParameter]:
    return [
        *_optimisation(name, settings.optimisation, paper, tried),
        kept(f"{name}: temperature", settings.temperature, paper["temperature"], by_trials(tried, TEMPERATURE)),
        kept(f"{name}: negatives a query", settings.passages_per_query - 1, paper["negatives per query"]),
        kept(f"{name}: negatives' depth", settings.negatives.depth, paper["negatives depth"]),
        kept(f"{name}: query tokens", settings.query_length, paper["query length"]),
        kept(
            f"{name}: passage tokens",
            settings.passage_length,
            paper["passage length"],
            by_trials(tried, TOKENS, otherwise=SIZE),
        ),
    ]


def _own_retrievers(scale: Scale) -> list[HyperParameter]:
    """Return the settings of the starts of Table 1 that are not fine-tuned as Table 13 says."""
    found = []
    for start, settings in scale.retrievers.items():
        name, printed, optimisation = f"Retriever1 ({start})", TABLE_1[start], settings.optimisation
        found += [
            kept(f"{name}: learning rate", optimisation.learning_rate, printed["learning rate"]),
            steps(name, optimisation, printed),
        ]
    return found


def _reranker(scale: Scale, paper: dict[str, object], tried: Mapping[str, str]) -> list[HyperParameter]:
    ranker = scale.reranker
    names = {MINILM: PUBLIC_START} | ({"base": scale.encoder} if isinstance(scale.encoder, str) else {})
    untuned = "set beforehand, not tuned"
    if "electra" not in scale.left_out:
        untuned += "; Table 5 has the start that the paper chose"
    return [
        *_optimisation("re-ranker", ranker.optimisation, paper, {}),
        row(
            "re-ranker: start",
            names.get(scale.reranker_start, scale.reranker_start),
            paper["initialisation"],
            PUBLIC if scale.reranker_start in scale.starts else untuned,
        ),
        kept("re-ranker: negatives a query", ranker.passages_per_query - 1, paper["negatives per query"]),
        kept("re-ranker: negatives' depth", ranker.negatives.depth, paper["negatives depth"]),
        row(
            "re-ranker: passages kept",
            ranker.kept_passages,
            "16 (released code)",
            RELEASED if ranker.kept_passages == 16 else SIZE,
        ),
        row(
            "re-ranker: tokens a pair",
            ranker.max_length,
            paper["passage length"],
            how(ranker.max_length, str(paper["passage length"]).replace(TOGETHER, ""), SIZE),
        ),
        kept("re-ranker: depth", ranker.rerank_depth, paper["rerank depth"]),
        row(
            "re-ranker: dropout",
            ranker.dropout,
            "0.1 (BERT's)",
            THE_PAPERS if ranker.dropout else by_trials(tried, DROPOUT),
        ),
    ]


def _optimisation(
    name: str, settings: Optimisation, paper: dict[str, object], tried: Mapping[str, str]
) -> list[HyperParameter]:
    return [
        tuned(f"{name}: learning rate", settings.learning_rate, paper["learning rate"], by_trials(tried, RATE)),
        kept(f"{name}: queries a batch", settings.batch_size, paper["batch size"]),
        steps(name, settings, paper, by_trials(tried, UPDATES, otherwise=SIZE)),
        kept(f"{name}: warm-up steps", settings.warmup_steps, paper["warmup steps"], SHARE),
        _schedule(name, settings),
    ]


def _only_for_nq(scale: Scale) -> list[HyperParameter]:
    """Return the settings for Natural Questions that no table of the paper has (`simlm.scales.paper_nq`)."""
    retriever, depth = scale.retriever, scale.search.evaluation_depth
    multiplier = f"1 to {1 / retriever.temperature:g} over {retriever.rising} updates"
    return [
        row("training: positives", "labelled, or with an answer and above all negatives", "the same", RELEASED),
        row("training: negatives", "without an answer; none at random", "the same", RELEASED),
        row("training: order of negatives", "shuffled", "the same", RELEASED),
        row("training: sets", "the first negatives' and the mined one", "the same", RELEASED),
        row("training: Retriever1's set", "the first negatives' alone", "not said", OPEN),
        row("training: sets on which a checkpoint is chosen", "the first alone", "the same", RELEASED),
        row("retriever: similarities' multiplier", multiplier, "1 to 50 over 1000 updates", RELEASED),
        row("distillation: similarities' multiplier", "the retriever's", "not said", OPEN),
        row("retriever: loss times the processes", "on" if retriever.scale_loss else "off", "off", RELEASED),
        row("distillation: loss times the processes", "the retriever's", "not said", OPEN),
        row("retriever: seed", retriever.optimisation.seed, "5678", RELEASED),
        row("search: passages a question", depth, "100", OF_NQ),
    ]


def choices(scale: Scale) -> list[HyperParameter]:
    """Return what is in force where paper and released implementation differ or are silent, or a scale departs."""
    return [*_everywhere(scale), *(_at_paper_scale(scale) if scale.has_papers_models else ())]


def _at_paper_scale(scale: Scale) -> list[HyperParameter]:
    """Return where paper scale follows the released code alone, and where it departs from it (docs/paper-scale.md)."""
    fine_tuning, pre = scale.retriever.optimisation, scale.pretraining
    valid = "nothing is chosen on what is reported"
    return [
        row("fine-tuning: an epoch's last batch", "kept" if fine_tuning.keep_last else "left out", "kept", RELEASED),
        row("a query's positives", "in qrels order" if scale.qrels_order else "by index", "in qrels order", RELEASED),
        row("generator: epsilon of the output norm", pre.generator_epsilon, "1e-05 (transformers 4.15)", RELEASED),
        row("search: precision of queries", "float32", "float32", RELEASED),
        row("pre-training: an epoch's last batch", "left out", "in the next epoch's first", "a share of 1 in 4,000"),
        row("evaluation: negatives", "the same each time", "others each epoch", "checkpoints compare on the same"),
        *(() if scale.by_answers else [row("checkpoints: chosen on", "valid, of train", "dev", valid)]),
    ]


def _precision(scale: Scale) -> str:
    return scale.precision if scale.precision == FLOAT32 else f"{scale.precision} where it is fast, otherwise {FLOAT32}"


def _everywhere(scale: Scale) -> list[HyperParameter]:
    return [
        row("pre-training: loss", "mean over a batch's counted tokens", "mean within each passage (Eq. 2)", RELEASED),
        row(
            "retriever: contrastive loss",
            "four blocks in one softmax",
            "passage to hard negatives too (Eq. 3)",
            RELEASED,
        ),
        row("precision", _precision(scale), "float16", "what the device does well; queries and losses in float32"),
        row("encoder: [CLS] only in the last layer", "yes", "whole last layer", "the same values, less work"),
    ]
