"""What each stage has to do: arithmetic by task, bytes on disk, in a GPU's memory and to download.

A stage of another module is added by registering a function for its class with `work_of`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch

from simlm.costs.arithmetic import TRAINING, Lengths, bottleneck_flop, generator_flop, layers_flop
from simlm.costs.memory import Memory
from simlm.costs.models import Model, model_of
from simlm.costs.sizes import Sizes, sizes_of
from simlm.packed import MAX_TOKENS
from simlm.scales.settings import PretrainingSettings
from simlm.stages.data import Prepare
from simlm.stages.models import SHARES, EncoderStage, Generator, Pretrained, PublicModel
from simlm.stages.reranker import Rerank, TeacherScoresOf, TrainReranker
from simlm.stages.retriever import TrainRetriever
from simlm.stages.runs import MINED_SPLIT, Retrieve, RunStage
from simlm.stages.sets import AnswerSets
from simlm.workflow.stage import Stage

WEIGHT_BYTES = 4
CHECKPOINTS = 2
"""Kept at a time while a training runs; each has the weights and AdamW's two moments."""
VECTOR_BYTES = 4
TOKEN_BYTES, PASSAGE_BYTES = 2, 60
"""Of the tokenised store: a piece, and what each passage has beside its pieces (bounds, length, id)."""
PLACE_BYTES, LINE_BYTES = 12, 56
"""Of a run: an index and a score in arrays, and a line of the TREC file, which evaluated splits have."""
PAIR_BYTES = 20
INDEX_BYTES = 8
"""Of a list of negatives, a place."""
PACKED_OBJECTIVES = {"replaced_lm", "mlm"}
"""Objectives that a GPU trains without padding (`PackableObjective`), by name; who brings one that is adds its own."""


@dataclass(frozen=True)
class Work:
    """What a stage needs, as far as that is known before."""

    flop: Mapping[str, float] = field(default_factory=dict)
    """By task (a key of `simlm.costs.throughput.PACKED`), on real tokens; {} for what a GPU has no part in."""
    kept_bytes: float = 0.0
    """What it leaves on disk."""
    passing_bytes: float = 0.0
    """What it needs on disk beside, while it runs."""
    memory: Memory | None = None
    downloads: Mapping[str, float] = field(default_factory=dict)
    """Bytes to download, by what they are of."""
    known: bool = True
    """False where it stands on a collection or a model that nothing is known of yet."""


UNKNOWN = Work(known=False)


@singledispatch
def work_of(stage: Stage) -> Work:
    """What a stage has to do; nothing worth mentioning for a class that nothing is registered for."""
    return Work()


@work_of.register
def _prepare(stage: Prepare) -> Work:
    if (sizes := sizes_of(stage)) is None:
        return UNKNOWN
    tokens = sizes.passage(512).mean * sizes.passages
    kept = TOKEN_BYTES * tokens + PASSAGE_BYTES * sizes.passages
    return Work(kept_bytes=kept, downloads={stage.collection: sizes.download_bytes})


@work_of.register
def _model(stage: EncoderStage) -> Work:
    model = model_of(stage)
    return Work(kept_bytes=WEIGHT_BYTES * model.parameters) if model else UNKNOWN


@work_of.register
def _public(stage: PublicModel) -> Work:
    model = model_of(stage)
    size = WEIGHT_BYTES * model.parameters if model else 0.0
    return Work(kept_bytes=size, downloads={} if stage.digest else {stage.name: size}, known=model is not None)


@work_of.register
def _generator(stage: Generator) -> Work:
    sizes, model = sizes_of(stage.data), model_of(stage)
    if sizes is None or model is None:
        return UNKNOWN
    texts, lengths = _drawn(stage.settings, sizes)
    masked = stage.settings.encoder_rate * texts * lengths.mean
    flop = bottleneck_flop(model.shape, model.vocabulary, texts, lengths, masked, decoder=0)
    memory = Memory.of(model, _pack(stage.settings), stage.settings.max_length)
    return Work({"pretrain": flop}, *_training(model, 1), memory)


@work_of.register
def _pretrained(stage: Pretrained) -> Work:
    """Plain MLM trains the encoder alone, on masked words; of all others two decoder layers are assumed.

    Their losses are taken over every word; a generator fills the inputs of both sides.
    """
    sizes, model = sizes_of(stage.data), model_of(stage)
    generator = model_of(stage.generator) if stage.generator is not None else None
    if sizes is None or model is None or (generator is None and stage.generator is not None):
        return UNKNOWN
    settings = stage.settings
    texts, lengths = _drawn(settings, sizes)
    alone = stage.objective == "mlm"
    counted = texts * (settings.encoder_rate * lengths.mean if alone else lengths.mean - 2)
    flop = bottleneck_flop(model.shape, model.vocabulary, texts, lengths, counted, decoder=0 if alone else 2)
    if generator is not None:
        masked = (settings.encoder_rate + settings.decoder_rate) * texts * lengths.mean
        flop += generator_flop(generator.shape, generator.vocabulary, texts, lengths, masked)
    decoder = 0 if alone else 2
    packed = stage.objective in PACKED_OBJECTIVES
    texts_at_once = _pack(settings) if packed else settings.micro_batch or settings.optimisation.batch_size
    memory = Memory.of(model, texts_at_once, settings.max_length, decoder, generator)
    return Work({"pretrain" if packed else "other pretrain": flop}, *_training(model, 1 + len(SHARES)), memory)


def _pack(settings: PretrainingSettings) -> int:
    """How many of the longest passages a pack holds."""
    return min(settings.optimisation.batch_size, -(-MAX_TOKENS // settings.max_length))


def _drawn(settings: PretrainingSettings, sizes: Sizes) -> tuple[float, Lengths]:
    """The passages that a pre-training reads, and their lengths."""
    return settings.optimisation.steps * settings.optimisation.batch_size, sizes.passage(settings.max_length)


def _training(model: Model, models: int) -> tuple[float, float]:
    """Bytes of the models that a training leaves, and of its checkpoints."""
    size = WEIGHT_BYTES * model.parameters
    return models * size, CHECKPOINTS * 3 * size


@work_of.register
def _retriever(stage: TrainRetriever) -> Work:
    sizes, model = sizes_of(stage.data), model_of(stage)
    if sizes is None or model is None:
        return UNKNOWN
    settings = stage.settings
    drawn = settings.optimisation.steps * settings.optimisation.batch_size
    passage = sizes.passage(settings.passage_length)
    flop = layers_flop(model.shape, drawn, sizes.query(settings.query_length))
    flop += layers_flop(model.shape, drawn * settings.passages_per_query, passage)
    texts = settings.optimisation.batch_size * settings.passages_per_query
    memory = Memory.packed(model, texts, passage.mean)
    return Work({"finetune": TRAINING * flop}, *_training(model, 1), memory)


@work_of.register
def _reranker(stage: TrainReranker) -> Work:
    """All passages of a group once without gradient; those that are kept twice with (R-Drop)."""
    sizes, model = sizes_of(stage.candidates.data), model_of(stage)
    if sizes is None or model is None:
        return UNKNOWN
    settings = stage.settings
    passes = settings.passages_per_query + 2 * TRAINING * settings.kept_passages
    drawn = settings.optimisation.steps * settings.optimisation.batch_size * passes
    pair = sizes.pair(settings.max_length)
    flop = layers_flop(model.shape, drawn, pair)
    # A pack is a part of the batch: the loss is a mean over queries.
    texts = min(settings.optimisation.batch_size * 2 * settings.kept_passages, -(-MAX_TOKENS // settings.max_length))
    return Work({"finetune": flop}, *_training(model, 1), Memory.packed(model, texts, settings.max_length))


@work_of.register
def _teacher(stage: TeacherScoresOf) -> Work:
    """Each query's positive and the negatives that fall into its windows, each pair once; so of each set of several."""
    sizes, model = sizes_of(stage.negatives.data), model_of(stage.reranker)
    if sizes is None or model is None:
        return UNKNOWN
    sets = len(stage.negatives.runs) if isinstance(stage.negatives, AnswerSets) else 1
    queries = sets * sizes.count([MINED_SPLIT])
    epochs = -(-stage.steps // max(1, queries // stage.batch_size))
    pairs = queries * (1 + min(stage.lists.total, epochs * (stage.passages_per_query - 1)))
    flop = layers_flop(model.shape, pairs, sizes.pair(stage.max_length))
    return Work({"rerank": flop}, PAIR_BYTES * pairs, memory=Memory.read_only(model))


@work_of.register
def _ranked(stage: RunStage) -> Work:
    sizes = sizes_of(stage.data)
    return Work(kept_bytes=run_bytes(stage, sizes)) if sizes is not None else UNKNOWN


@work_of.register
def _sets(stage: AnswerSets) -> Work:
    """Lists of every run's places for train, of the last run's for valid; positives are few beside them."""
    sizes = sizes_of(stage.data)
    if sizes is None:
        return UNKNOWN
    lists = len(stage.runs) * sizes.count([MINED_SPLIT]) + sizes.count(["valid"])
    return Work(kept_bytes=INDEX_BYTES * stage.depth * lists)


@work_of.register
def _rerank(stage: Rerank) -> Work:
    sizes, model = sizes_of(stage.data), model_of(stage.reranker)
    if sizes is None or model is None:
        return UNKNOWN
    pairs = stage.depth * sizes.count(stage.splits)
    flop = layers_flop(model.shape, pairs, sizes.pair(stage.max_length))
    return Work({"rerank": flop}, run_bytes(stage.candidates, sizes, stage.splits), memory=Memory.read_only(model))


@work_of.register
def _retrieve(stage: Retrieve) -> Work:
    return search_work(stage, stage.retriever, stage.splits, stage.query_length, stage.passage_length)


def search_work(
    stage: RunStage, encoder: EncoderStage, splits: Sequence[str], query_length: int, passage_length: int
) -> Work:
    """Encoding a collection and the queries of some splits, searching it exactly, and what that leaves.

    Left out is the latency: seconds, of queries that are asked one at a time (`simlm.stages.latency`).
    """
    sizes, model = sizes_of(stage.data), model_of(encoder)
    if sizes is None or model is None:
        return UNKNOWN
    queries = sizes.count(splits)
    flop = {
        "encode": layers_flop(model.shape, sizes.passages, sizes.passage(passage_length))
        + layers_flop(model.shape, queries, sizes.query(query_length)),
        "search": 2.0 * queries * sizes.passages * model.shape.hidden,
    }
    kept = VECTOR_BYTES * sizes.passages * model.shape.hidden + run_bytes(stage, sizes)
    return Work(flop, kept, VECTOR_BYTES * queries * model.shape.hidden, Memory.read_only(model))


def run_bytes(stage: RunStage, sizes: Sizes, splits: Sequence[str] = ()) -> float:
    """A run's arrays, and the TREC files of evaluated splits; of some splits, or of all that the stage has."""
    depth = getattr(stage, "depth", 0)
    mining = getattr(stage, "mining_depth", depth)
    total = 0.0
    for split in splits or getattr(stage, "splits", ("test",)):
        mined = split == MINED_SPLIT
        places = sizes.count([split]) * min(mining if mined else depth, sizes.passages)
        total += places * (PLACE_BYTES + (0 if mined else LINE_BYTES))
    return total
