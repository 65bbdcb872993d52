"""What each stage needs: arithmetic by task, disk, GPU memory, and what it downloads.

All estimates come from here: dry runs, `python -m repro.costs` and the check of the disk before a run. A stage of
another room registers its rule with `work_rule`.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import singledispatch
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from simlm.costs.model import BERT_BASE, PUBLIC, TRAINING, Model, pretraining_flop
from simlm.costs.sizes import Sizes, Unknown, sizes_of
from simlm.files import read_json
from simlm.packed import MAX_TOKENS
from simlm.scales.settings import EncoderShape, GeneratorShape
from simlm.stages.data import Prepare
from simlm.stages.models import HEAD_MLM, SHARES, EncoderStage, FirstLayers, Pretrained, PublicModel
from simlm.stages.reranker import Rerank, TeacherScoresOf, TrainReranker
from simlm.stages.retriever import TrainRetriever
from simlm.stages.runs import MINED_SPLIT, Retrieve, RunStage
from simlm.stages.sets import AnswerSets
from simlm.workflow.stage import Stage, inputs_of

NUMBER_BYTES = 4
"""Of a weight and of a vector's component on disk: float32."""
CHECKPOINTS = 2
"""Kept at a time while a training runs; each has the weights and AdamW's two moments."""
TOKEN_BYTES, PASSAGE_BYTES = 2, 60
"""Of the tokenised store: a word piece, and what each passage has in addition (bounds, length, id)."""
PLACE_BYTES, LINE_BYTES = 12, 56
"""Of a run: an index and a score in arrays, and a line of the TREC file, which evaluated splits have."""
PAIR_BYTES = 20
"""Of a teacher's score with its pair."""
TRAINED_BYTES, FROZEN_BYTES = 16, 4
"""A weight in GPU memory: float32, with its gradient and AdamW's two moments where it is trained."""
PADDED_BYTES, PACKED_BYTES = 45, 32
"""What a layer keeps for the backward pass, for each token and each unit of its width, with and without padding.

Measured on an H200 (reports/performance.md): 64 queries with 16 passages took 62.5 GB when padded to 144 tokens, and
23.7 GB without padding.
"""
READING_BYTES = 4e9
"""GPU memory of batches and of a tile of the search where nothing is trained."""
PADDED_OBJECTIVES = set[str]()
"""Objectives that have no packed form (`simlm.pretraining.objective`), by name: they are trained with padding."""


@dataclass(frozen=True)
class Work:
    """What a stage needs, or several together (`total`), as far as it is known before.

    Attributes:
        flop: floating-point operations by task (`simlm.costs.throughput.MEASURED`), on real tokens; {} for what a GPU
            has no part in.
        disk_bytes: what is kept.
        passing_bytes: what else is needed on disk while the stage runs.
        weights_bytes: GPU memory that does not depend on the batch.
        batch_bytes: GPU memory that the whole batch takes at once.
        downloads: bytes by what is downloaded.
        unknown: how many stages depend on a collection or a model of which nothing is known yet.
    """

    flop: Mapping[str, float] = field(default_factory=dict)
    disk_bytes: float = 0.0
    passing_bytes: float = 0.0
    weights_bytes: float = 0.0
    batch_bytes: float = 0.0
    downloads: Mapping[str, float] = field(default_factory=dict)
    unknown: int = 0

    @property
    def all_flop(self) -> float:
        """Return the floating-point operations of all tasks together."""
        return sum(self.flop.values())

    @property
    def gpu_bytes(self) -> float:
        """Return the GPU memory with the whole batch at once."""
        return self.weights_bytes + self.batch_bytes


UNKNOWN = Work(unknown=1)


def work_of(stage: Stage | None) -> Work:
    """Return what a stage needs: nothing where no rule is registered for its class."""
    try:
        return work_rule(stage)
    except Unknown:
        return UNKNOWN


def total(works: Iterable[Work]) -> Work:
    """Return what several stages need together on disk and in arithmetic; downloads of the same count once."""
    every = list(works)
    tasks = dict.fromkeys(task for one in every for task in one.flop)
    return Work(
        flop={task: sum(one.flop.get(task, 0.0) for one in every) for task in tasks},
        disk_bytes=sum(one.disk_bytes for one in every),
        passing_bytes=max((one.passing_bytes for one in every), default=0.0),
        downloads={name: size for one in every for name, size in one.downloads.items()},
        unknown=sum(one.unknown for one in every),
    )


def model_of(stage: Stage) -> Model:
    """Return the sizes of the model that a stage makes or computes with; Unknown where nothing says them."""
    if isinstance(stage, PublicModel):
        folder = Path(stage.copied_from)
        try:
            return Model.of(read_json(_config_of(stage, folder)) or {})
        except (KeyError, TypeError):
            if folder.is_dir():
                raise Unknown from None
            return PUBLIC.get(stage.name, BERT_BASE)
    if isinstance(stage, FirstLayers):
        return replace(model_of(stage.start), layers=stage.layers)
    shape = getattr(stage, "shape", None)
    if isinstance(shape, EncoderShape | GeneratorShape):
        data = getattr(stage, "data", None)
        vocabulary = data.vocabulary if isinstance(data, Prepare) else 0
        return Model(shape.layers, shape.hidden, shape.intermediate, shape.hidden, vocabulary or BERT_BASE.vocabulary)
    below = inputs_of(stage)
    for name in ("start", "shape_of", "retriever", "reranker"):
        if name in below:
            return model_of(below[name])
    raise Unknown


def _config_of(stage: PublicModel, folder: Path) -> Path:
    """Return the file of a public model's configuration: in its folder, or in the Hub's cache where it is there."""
    with suppress(ValueError):  # for what is no name of a repository
        cached = None if folder.is_dir() else try_to_load_from_cache(stage.name, "config.json", revision=stage.revision)
        return Path(cached) if isinstance(cached, str) else folder / "config.json"
    return folder / "config.json"


@singledispatch
def work_rule(stage: object) -> Work:
    """Return what a stage needs, by its class; Unknown where its collection or its model is not known yet."""
    return Work()


@work_rule.register
def _prepare(stage: Prepare) -> Work:
    sizes = sizes_of(stage)
    kept = (TOKEN_BYTES * sizes.passage() + PASSAGE_BYTES) * sizes.passages
    return Work(disk_bytes=kept, downloads={stage.collection: sizes.download_bytes})


@work_rule.register
def _model(stage: EncoderStage) -> Work:
    size = NUMBER_BYTES * model_of(stage).weights
    from_hub = isinstance(stage, PublicModel) and not stage.digest
    return Work(disk_bytes=size, downloads={stage.name: size} if from_hub else {})


@work_rule.register
def _pretraining(stage: Pretrained) -> Work:
    """Plain MLM trains the encoder alone, on masked words; two decoder layers and a loss over all words otherwise."""
    model, settings, drawn = model_of(stage), stage.settings, _drawn(stage)
    length = sizes_of(stage.data).passage(settings.max_length)
    tokens = drawn * length
    alone, padded = stage.objective in ("mlm", HEAD_MLM), stage.objective in PADDED_OBJECTIVES
    counted = settings.encoder_rate * tokens if alone else tokens - 2 * drawn
    masked = (settings.encoder_rate + settings.decoder_rate) * tokens
    generator = model_of(stage.generator) if stage.generator is not None else None
    decoder = 0 if alone else 2
    batch = settings.optimisation.batch_size * settings.max_length
    work = _training(
        "padded pretrain" if padded else "pretrain",
        pretraining_flop(model, tokens, length, counted, decoder, generator, masked),
        replace(model, layers=model.layers + decoder),
        settings.micro_batch * settings.max_length if padded and settings.micro_batch else min(batch, MAX_TOKENS),
        PADDED_BYTES,
    )
    kept = NUMBER_BYTES * model.weights * (1 + len(SHARES))
    frozen = FROZEN_BYTES * generator.weights if generator else 0
    return replace(work, disk_bytes=kept, weights_bytes=work.weights_bytes + frozen)


@work_rule.register
def _retriever(stage: TrainRetriever) -> Work:
    model, settings, sizes = model_of(stage), stage.settings, sizes_of(stage.data)
    query, passage = sizes.query(settings.query_length), sizes.passage(settings.passage_length)
    each = model.forward(query, query) + settings.passages_per_query * model.forward(passage, passage)
    batch_tokens = settings.optimisation.batch_size * settings.passages_per_query * passage
    return _training("finetune", TRAINING * _drawn(stage) * each, model, batch_tokens, PACKED_BYTES)


@work_rule.register
def _reranker(stage: TrainReranker) -> Work:
    """All passages of a query are scored without gradient; those that are kept are trained on, with dropout twice."""
    model, settings = model_of(stage), stage.settings
    pair = sizes_of(stage.tokenised).pair(settings.max_length)
    times = 2 if settings.dropout else 1  # R-Drop
    passes = settings.passages_per_query + times * TRAINING * settings.kept_passages
    # A pack is a part of the batch: the loss is a mean over queries.
    batch_tokens = min(settings.optimisation.batch_size * 2 * settings.kept_passages * settings.max_length, MAX_TOKENS)
    return _training("finetune", _drawn(stage) * passes * model.forward(pair, pair), model, batch_tokens, PACKED_BYTES)


@work_rule.register
def _teacher(stage: TeacherScoresOf) -> Work:
    """Score each query's positive and the negatives that training will draw, each pair once; so of each of its sets."""
    sets = len(stage.negatives.runs) if isinstance(stage.negatives, AnswerSets) else 1
    queries = sets * sizes_of(stage.negatives.data).count([MINED_SPLIT])
    epochs = -(-stage.steps // max(1, queries // stage.batch_size))
    pairs = queries * (1 + min(stage.lists.total, epochs * (stage.passages_per_query - 1)))
    return _scoring(stage.reranker, stage.reranker.tokenised, pairs, stage.max_length, PAIR_BYTES * pairs)


@work_rule.register
def _rerank(stage: Rerank) -> Work:
    pairs = stage.depth * sizes_of(stage.data).count(stage.splits)
    kept = _run_bytes(stage.candidates, sizes_of(stage.data), stage.splits)
    return _scoring(stage.reranker, stage.data, pairs, stage.max_length, kept)


@work_rule.register
def _ranked(stage: RunStage) -> Work:
    return Work(disk_bytes=_run_bytes(stage, sizes_of(stage.data)))


@work_rule.register
def _retrieve(stage: Retrieve) -> Work:
    return search_work(stage, stage.retriever, stage.splits, stage.query_length, stage.passage_length)


def search_work(
    stage: RunStage, encoder: EncoderStage, splits: Sequence[str], query_length: int, passage_length: int
) -> Work:
    """Return what it takes to encode a collection and the queries of some splits, and to search it exactly.

    The measurement of the latency is left out: queries are asked one at a time, for some seconds.
    """
    sizes, model = sizes_of(stage.data), model_of(encoder)
    queries, query, passage = sizes.count(splits), sizes.query(query_length), sizes.passage(passage_length)
    vector_bytes = NUMBER_BYTES * model.hidden
    return Work(
        flop={
            "encode": model.forward(sizes.passages * passage, passage) + model.forward(queries * query, query),
            "search": 2.0 * queries * sizes.passages * model.hidden,
        },
        disk_bytes=vector_bytes * sizes.passages + _run_bytes(stage, sizes),
        passing_bytes=vector_bytes * queries,
        weights_bytes=FROZEN_BYTES * model.weights + READING_BYTES,
    )


def _drawn(stage: Pretrained | TrainRetriever | TrainReranker) -> int:
    """Return how many passages (of a pre-training) or queries (of a fine-tuning) a training reads."""
    optimisation = stage.settings.optimisation
    return optimisation.steps * optimisation.batch_size


def _training(task: str, flop: float, model: Model, batch_tokens: float, bytes_each: float) -> Work:
    """Return what a training needs.

    Args:
        task: what it is measured as.
        flop: of all its updates.
        model: what is trained.
        batch_tokens: tokens that are computed on at once.
        bytes_each: memory for each of them and for each unit of a layer's width.
    """
    size = NUMBER_BYTES * model.weights
    return Work(
        flop={task: flop},
        disk_bytes=size,
        passing_bytes=CHECKPOINTS * 3 * size,
        weights_bytes=TRAINED_BYTES * model.weights,
        batch_bytes=bytes_each * model.hidden * model.layers * batch_tokens,
    )


def _scoring(reranker: EncoderStage, data: Prepare, pairs: int, longest: int, disk_bytes: float) -> Work:
    model, pair = model_of(reranker), sizes_of(data).pair(longest)
    flop = model.forward(pairs * pair, pair)
    return Work({"rerank": flop}, disk_bytes, weights_bytes=FROZEN_BYTES * model.weights + READING_BYTES)


def _run_bytes(stage: RunStage, sizes: Sizes, splits: Sequence[str] = ()) -> float:
    """Return what a run's arrays and the TREC files of evaluated splits take; of some splits, or of all it has."""
    depth = getattr(stage, "depth", 0)
    mining = getattr(stage, "mining_depth", depth)
    size = 0.0
    for split in splits or getattr(stage, "splits", ("test",)):
        mined = split == MINED_SPLIT
        places = sizes.count([split]) * min(mining if mined else depth, sizes.passages)
        size += places * (PLACE_BYTES + (0 if mined else LINE_BYTES))
    return size
