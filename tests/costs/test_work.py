"""What stages need, against sums written out by hand and figures that others measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simlm.costs.arithmetic import BERT_BASE, Lengths, layers_flop, parameters
from simlm.costs.memory import Memory
from simlm.costs.models import Model, model_of
from simlm.costs.sizes import log_normal, stated
from simlm.costs.work import UNKNOWN, Work, work_of
from simlm.data.catalogue import MSMARCO
from simlm.scales.settings import NegativesSettings, Optimisation, PretrainingSettings, RetrieverSettings
from simlm.stages.answers import GivenAnswers
from simlm.stages.data import Prepare
from simlm.stages.models import Pretrained, PublicModel
from simlm.stages.retriever import TrainRetriever
from simlm.stages.runs import PackageLists, Retrieve
from simlm.stages.sets import AnswerSets
from simlm.workflow.plan import resolve_graph
from simlm.workflow.stage import Stage

MILLION = 1e6


def optimisation(steps: int, batch: int) -> Optimisation:
    return Optimisation.C(learning_rate=1e-5, batch_size=batch, steps=steps, warmup_steps=0, schedule="linear", seed=1)


Add = Callable[[Stage], Any]


def work(build: Callable[[Add], Stage], tmp_path: Path) -> Work:
    """Of the stage that ``build`` makes; each that it stands on is handed to the function that it is given."""

    def adding(submit: Callable[[Stage, str], object]) -> Stage:
        def add(stage: Stage) -> Stage:
            submit(stage, "a stage")
            return stage

        return add(build(add))

    return work_of(resolve_graph(adding, tmp_path)[1])


class Listed(PackageLists):
    """Another run that needs nothing but the collection."""


def data(collection: str = "msmarco") -> Prepare:
    return Prepare.C(collection=collection, vocabulary=0, tokenizer="bert-base-uncased")


def public(name: str = "bert-base-uncased") -> PublicModel:
    return PublicModel.C(name=name, revision="main", digest="")


def pretrained(
    add: Add, objective: str = "replaced_lm", start: str = "bert-base-uncased", collection: str = "msmarco"
) -> Pretrained:
    settings = PretrainingSettings.C(
        optimisation=optimisation(80_000, 2_048),
        max_length=144,
        encoder_rate=0.3,
        decoder_rate=0.5,
        generator_dropout=True,
        held_out=4_096,
    )
    generator = None if objective == "mlm" else add(public("google/electra-base-generator"))
    return Pretrained.C(
        data=add(data(collection)),
        start=add(public(start)),
        generator=generator,
        objective=objective,
        settings=settings,
    )


def test_the_papers_pre_training(tmp_path: Path) -> None:
    """80,000 updates of 2,048 passages of about 75 tokens at 0.92 GFLOP a token: 11,300 PFLOP."""
    found = work(pretrained, tmp_path)
    assert found.flop["pretrain"] == pytest.approx(11_300e15, rel=0.05)
    assert found.kept_bytes == pytest.approx(4 * 4 * 109e6, rel=0.03)
    alone = work(lambda add: pretrained(add, "mlm"), tmp_path)
    assert 0.5 < alone.flop["pretrain"] / found.flop["pretrain"] < 0.7


def test_encoding_and_searching_ms_marco(tmp_path: Path) -> None:
    """113 PFLOP to encode, 95 TFLOP to search 6,980 queries, 27 GB of float32 vectors."""
    rest = {"splits": ["test"], "depth": 1000, "mining_depth": 200, "query_length": 32, "passage_length": 144}
    found = work(lambda add: Retrieve.C(data=add(data()), retriever=add(public()), **rest), tmp_path)
    assert found.flop["encode"] == pytest.approx(113e15, rel=0.03)
    assert found.flop["search"] == pytest.approx(95e12, rel=0.01)
    vectors, places = 4 * 8_841_823 * 768, 6_980 * 1_000
    assert vectors < found.kept_bytes < vectors + 100 * places


def test_fine_tuning(tmp_path: Path) -> None:
    """64 queries with 16 passages: 39 TFLOP an update, 23.7 GB at once, as measured (reports/performance.json)."""
    settings = RetrieverSettings.C(
        optimisation=optimisation(100, 64),
        passages_per_query=16,
        temperature=0.02,
        query_length=32,
        passage_length=144,
        negatives=NegativesSettings.C(depth=200, total=210),
        evaluations=0,
        evaluation_queries=100,
    )

    def build(add: Add) -> TrainRetriever:
        collection = add(data())
        negatives = add(PackageLists.C(data=collection))
        return TrainRetriever.C(data=collection, start=add(public()), negatives=negatives, settings=settings, alpha=0.0)

    found = work(build, tmp_path)
    assert found.flop["finetune"] == pytest.approx(100 * 39e12, rel=0.05)
    assert found.memory and found.memory.total == pytest.approx(23.7e9, rel=0.05)


def test_sets_told_apart_by_answers(tmp_path: Path) -> None:
    """A list of 100 indices a question and run, 58,880 questions of train; valid's 6,515 of the last run."""

    def build(add: Add) -> AnswerSets:
        collection = add(data("nq"))
        answers = add(GivenAnswers.C(data=collection, splits=["train", "valid"]))
        runs = [add(PackageLists.C(data=collection)), add(Listed.C(data=collection))]
        return AnswerSets.C(data=collection, runs=runs, answers=answers, depth=100)

    assert work(build, tmp_path) == Work(kept_bytes=8 * 100 * (2 * 58_880 + 6_515))


def test_what_nothing_is_known_of(tmp_path: Path) -> None:
    assert work(lambda add: data("somebodys"), tmp_path) == UNKNOWN
    assert work(lambda add: pretrained(add, collection="somebodys"), tmp_path) == UNKNOWN
    assert work(lambda add: pretrained(add, start="somebody/else"), tmp_path) == UNKNOWN
    assert work_of(object()) == Work()  # type: ignore[arg-type]


def test_a_local_model_is_known_by_its_configuration(tmp_path: Path) -> None:
    sizes = '"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16'
    (tmp_path / "config.json").write_text(f'{{{sizes}, "vocab_size": 100, "embedding_size": 4}}')
    model = model_of(public(str(tmp_path)))
    assert model is not None and model.vocabulary == 100 and model.shape.embedding == 4
    assert model.parameters == (100 + 512) * 4 + 4 * 8 + 2 * (4 * 64 + 2 * 8 * 16)
    (tmp_path / "config.json").write_text("{}")
    assert model_of(public(str(tmp_path))) is None


def test_arithmetic_is_a_loop_over_matrices() -> None:
    """Each product of a layer written out: projections, attention, feed-forward."""
    counts, flop = [5, 17, 80], 0
    for count in counts:
        for _ in range(12):
            flop += 4 * 2 * count * 768 * 768
            flop += 2 * 2 * count * count * 768
            flop += 2 * 2 * count * 768 * 3_072
    assert layers_flop(BERT_BASE, 3, Lengths.of(counts)) == pytest.approx(flop)
    assert parameters(BERT_BASE, 30_522) == pytest.approx(109.5 * MILLION, rel=0.01)


def test_lengths_are_cut_and_their_means_are_those_of_a_sample() -> None:
    drawn = np.random.default_rng(0).lognormal(np.log(69.5), 0.4, 200_000).round()
    for longest in (32, 144):
        cut = np.minimum(drawn, longest)
        lengths = stated(MSMARCO).passage(longest)
        assert lengths.mean == pytest.approx(cut.mean(), rel=0.01)
        assert lengths.square == pytest.approx((cut**2).mean(), rel=0.01)
    assert stated(MSMARCO).pair(192).mean == pytest.approx(75.4 + 9 - 1, rel=0.02)
    assert log_normal(50, 0.3).sum() == pytest.approx(1)


def test_a_batch_fits_in_parts() -> None:
    memory = Memory.of(Model(BERT_BASE, 30_522), texts=1_024, longest=144)
    for available in (10e9, 20e9, 80e9, 200e9):
        parts = memory.parts(available)
        assert parts is not None
        assert memory.fixed + memory.each * memory.texts / parts <= available
        if parts > 1:
            assert memory.fixed + memory.each * memory.texts / (parts - 1) > 0.9 * available
    assert memory.parts(1e9) is None
    assert Memory.read_only(Model(BERT_BASE, 30_522)).parts(80e9) == 1
