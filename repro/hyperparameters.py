"""The hyper-parameters in force beside the paper's (Tables 11 and 13), read from the scale and never typed twice."""

from reports.model import HyperParameter
from repro.published import published
from simlm.scales import Scale
from simlm.scales.settings import Optimisation, RetrieverSettings

SIZE = "the scale's: made to fit its time"
PAPER = "the paper's"
TRIED = "on valid, a few trials of SimLM's Retriever1; the same for every row"
WEAK = "above the paper's: a re-ranker trained this briefly is a weak teacher; the same for every row"


def hyperparameters(scale: Scale) -> list[HyperParameter]:
    """Every setting of a scale with the paper's value and how ours was chosen."""
    eleven = published("table11").set_index("hyperparameter")["ms_marco"].to_dict()
    thirteen = published("table13").set_index("hyperparameter")
    pre, optimisation = scale.pretraining, scale.pretraining.optimisation
    rows = [
        _row("pre-training: start", "base stand-in (MLM on the corpus)", eleven["initialisation"], SIZE),
        _row("pre-training: batch", optimisation.batch_size, eleven["batch size"], SIZE),
        _row("pre-training: tokens a passage", pre.max_length, eleven["text length"], SIZE),
        _row("pre-training: learning rate", optimisation.learning_rate, eleven["learning rate"], SIZE),
        _row("pre-training: warm-up steps", optimisation.warmup_steps, eleven["warmup steps"], SIZE),
        _row("pre-training: steps", optimisation.steps, eleven["train steps"], SIZE),
        _row("pre-training: schedule", optimisation.schedule, "not said (log in the released runs)", SIZE),
        _row("pre-training: encoder replace rate", f"{pre.encoder_rate:.0%}", eleven["encoder replace rate"], PAPER),
        _row("pre-training: decoder replace rate", f"{pre.decoder_rate:.0%}", eleven["decoder replace rate"], PAPER),
        _row("generator dropout while frozen", pre.generator_dropout, "off (on in the released runs)", PAPER),
    ]
    rows += _retriever("Retriever1/2", scale.retriever, thirteen["retriever_1_2"].to_dict())
    rows += _retriever("distillation", scale.distillation, thirteen["retriever_distill"].to_dict())
    rows.append(_row("distillation: alpha", scale.alpha, thirteen.loc["alpha", "retriever_distill"], WEAK))
    paper, ranker = thirteen["reranker"].to_dict(), scale.reranker
    rows += _optimisation("re-ranker", ranker.optimisation, paper)
    rows += [
        _row("re-ranker: start", scale.reranker_start, paper["initialisation"], SIZE),
        _row("re-ranker: negatives a query", ranker.passages_per_query - 1, paper["negatives per query"], SIZE),
        _row("re-ranker: passages kept", ranker.kept_passages, "16 (released code)", SIZE),
        _row("re-ranker: tokens a pair", ranker.max_length, paper["passage length"], SIZE),
        _row("re-ranker: depth", ranker.rerank_depth, paper["rerank depth"], SIZE),
        _row("re-ranker: dropout", ranker.dropout, "0.1 (BERT's)", PAPER),
    ]
    return rows


def _retriever(name: str, settings: RetrieverSettings, paper: dict[str, object]) -> list[HyperParameter]:
    return [
        *_optimisation(name, settings.optimisation, paper),
        _row(f"{name}: temperature", settings.temperature, paper["temperature"], TRIED),
        _row(f"{name}: negatives a query", settings.passages_per_query - 1, paper["negatives per query"], SIZE),
        _row(f"{name}: negatives' depth", settings.negatives.depth, paper["negatives depth"], PAPER),
        _row(f"{name}: query tokens", settings.query_length, paper["query length"], PAPER),
        _row(f"{name}: passage tokens", settings.passage_length, paper["passage length"], SIZE),
    ]


def _optimisation(name: str, settings: Optimisation, paper: dict[str, object]) -> list[HyperParameter]:
    return [
        _row(f"{name}: learning rate", settings.learning_rate, paper["learning rate"], TRIED),
        _row(f"{name}: queries a batch", settings.batch_size, paper["batch size"], SIZE),
        _row(f"{name}: steps", settings.steps, f"{paper['epochs']} epochs", SIZE),
        _row(f"{name}: warm-up steps", settings.warmup_steps, paper["warmup steps"], SIZE),
    ]


def _row(name: str, value: object, paper: object, chosen: str) -> HyperParameter:
    return HyperParameter(name, f"{value:g}" if isinstance(value, float) else str(value), str(paper), chosen)
