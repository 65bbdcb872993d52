"""The hyper-parameters of the pipeline, as typed configurations that count in a stage's identity.

Each names the row of Table 11 or 13 it stands for. A scale states every value but those few of which another than the
default is paper scale's only.
"""

from typing import Any, TypeVar

from experimaestro import Config, Param, field

Settings = TypeVar("Settings", bound=Config)


def varied(settings: Settings, **changes: Any) -> Settings:
    """Return a copy of settings with other values for some parameters."""
    names = settings.__xpmtype__.arguments
    values = {name: getattr(settings, name) for name in names}
    copy: Settings = type(settings).__xpmtype__.value_type.C(**values | changes)
    return copy


class EncoderShape(Config):
    """A BERT configuration below paper scale."""

    layers: Param[int]
    hidden: Param[int]
    heads: Param[int]
    intermediate: Param[int]
    initializer_range: Param[float]
    """Standard deviation of fresh weights: BERT's 0.02 x sqrt(768 / hidden), so that a narrow layer passes on as much
    of its input as BERT's. With 0.02 at 128 wide, [CLS] hardly depends on the passage at first."""
    dropout: Param[float]
    """Hidden and attention dropout of pre-training and of the retrievers."""


class GeneratorShape(Config):
    """An ELECTRA-style generator's configuration below paper scale."""

    layers: Param[int]
    hidden: Param[int]
    heads: Param[int]
    intermediate: Param[int]
    initializer_range: Param[float]


class Optimisation(Config):
    """AdamW's learning rate and how long it runs: updates, queries or passages an update, warm-up."""

    learning_rate: Param[float]
    batch_size: Param[int]
    steps: Param[int]
    warmup_steps: Param[int]
    schedule: Param[str]
    """"linear" or "log" (what the released runs did)."""
    seed: Param[int]
    keep_last: Param[bool] = field(default=False, ignore_default=True)
    """Whether an epoch ends with the examples that are fewer than a batch, as in the released runs, or leaves them out.
    """


class PretrainingSettings(Config):
    """Table 11, and the choices where paper and released code differ."""

    optimisation: Param[Optimisation]
    max_length: Param[int]
    encoder_rate: Param[float]
    decoder_rate: Param[float]
    generator_dropout: Param[bool]
    """True as in the released trainer, False as the paper says ("frozen")."""
    held_out: Param[int]
    generator_epsilon: Param[float] = field(default=0.0, ignore_default=True)
    """The epsilon of the layer norm before the generator's output layer; 0 for what transformers takes today."""
    micro_batch: Param[int] = field(default=0, ignore_default=True)
    """Passages whose counted tokens are averaged together; these means are averaged plainly. 0: the whole batch."""
    corpus_pieces: Param[bool] = field(default=False, ignore_default=True)
    """Whether only pieces of the corpus have logits, and can be drawn (`simlm.pretraining.corpus_pieces`)."""


class NegativesSettings(Config):
    """How many passages of a run become hard negatives, and the length of the list that random ones fill up."""

    depth: Param[int]
    total: Param[int]

    @property
    def needed(self) -> int:
        """The passages not relevant to a query that fill its list whatever its run, of which the first ``total`` count.

        Those behind ``depth`` are not taken, and no random passage is one of the run.
        """
        return 2 * self.total - self.depth


class RetrieverSettings(Config):
    """Table 13's bi-encoder columns."""

    optimisation: Param[Optimisation]
    passages_per_query: Param[int]
    """The positive and its hard negatives."""
    temperature: Param[float]
    query_length: Param[int]
    passage_length: Param[int]
    negatives: Param[NegativesSettings]
    evaluations: Param[int]
    """How often a checkpoint is judged on valid, evenly over the steps."""
    evaluation_queries: Param[int]
    """The valid queries of that sub-pool."""
    rising: Param[int] = field(default=0, ignore_default=True)
    """Updates over which the similarities' multiplier rises from 1 to 1 / temperature (Natural Questions)."""
    scale_loss: Param[bool] = field(default=True, ignore_default=True)
    """Whether several processes multiply the contrastive loss by their number, so that they are one (MS MARCO)."""


class RerankerSettings(Config):
    """Table 13's re-ranker column."""

    optimisation: Param[Optimisation]
    passages_per_query: Param[int]
    """64 at paper scale: all scored once without gradient."""
    kept_passages: Param[int]
    """16 at paper scale: the best of them, on which R-Drop trains."""
    max_length: Param[int]
    dropout: Param[float]
    negatives: Param[NegativesSettings]
    evaluations: Param[int]
    evaluation_queries: Param[int]
    rerank_depth: Param[int]
    evaluation_passages: Param[int] = field(default=0, ignore_default=True)
    """Passages of a group of valid; 0 for as many as in training."""

    @property
    def passages_on_valid(self) -> int:
        """The passages of a group of valid, as far as lists have so many."""
        return min(self.evaluation_passages or self.passages_per_query, self.negatives.total + 1)


class SearchSettings(Config):
    """How deep runs are."""

    evaluation_depth: Param[int]
    mining_depth: Param[int]


def negatives_settings() -> NegativesSettings:
    """Return the settings of negative lists: the paper's depth of 200, filled up to 210 with random passages."""
    return NegativesSettings.C(depth=200, total=210)


def retriever_settings(
    optimisation: Optimisation,
    passages: int,
    evaluations: int,
    temperature: float,
    passage_length: int,
    evaluation_queries: int,
) -> RetrieverSettings:
    """Return what mini and paper scale set alike in Table 13's bi-encoder columns.

    ``passages`` are those of a query, of which one is the positive; lengths are in tokens.
    """
    return RetrieverSettings.C(
        optimisation=optimisation,
        passages_per_query=passages,
        temperature=temperature,
        query_length=32,
        passage_length=passage_length,
        negatives=negatives_settings(),
        evaluations=evaluations,
        evaluation_queries=evaluation_queries,
    )
