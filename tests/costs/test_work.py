"""What stages need, against sums written out by hand and figures that were measured or published by others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simlm.costs.model import BERT_BASE
from simlm.costs.needs import misfits
from simlm.costs.sizes import log_normal, stated
from simlm.costs.work import PADDED_OBJECTIVES, UNKNOWN, Work, model_of, total, work_of
from simlm.data.catalogue import MSMARCO
from simlm.scales.settings import NegativesSettings, Optimisation, PretrainingSettings, RetrieverSettings
from simlm.stages.data import Prepare
from simlm.stages.models import Pretrained, PublicModel
from simlm.stages.retriever import TrainRetriever
from simlm.stages.runs import PackageLists, Retrieve
from simlm.workflow.plan import resolve_graph
from simlm.workflow.stage import Stage

Add = Callable[[Stage], Any]


def optimisation(steps: int, batch: int) -> Optimisation:
    return Optimisation.C(learning_rate=1e-5, batch_size=batch, steps=steps, warmup_steps=0, schedule="linear", seed=1)


def work(build: Callable[[Add], Stage], tmp_path: Path) -> Work:
    """Of the stage that ``build`` makes; each that it depends on is handed to the function that it is given."""

    def adding(submit: Callable[[Stage, str], object]) -> Stage:
        def add(stage: Stage) -> Stage:
            submit(stage, "a stage")
            return stage

        return add(build(add))

    return work_of(resolve_graph(adding, tmp_path)[1])


def data(collection: str = "msmarco") -> Prepare:
    return Prepare.C(collection=collection, vocabulary=0, tokenizer="bert-base-uncased")


def public(name: str = "bert-base-uncased", digest: str = "") -> PublicModel:
    return PublicModel.C(name=name, revision="main", digest=digest)


def pretrained(add: Add, objective: str = "replaced_lm", start: str = "", collection: str = "msmarco") -> Pretrained:
    settings = PretrainingSettings.C(
        optimisation=optimisation(80_000, 2_048),
        max_length=144,
        encoder_rate=0.3,
        decoder_rate=0.5,
        generator_dropout=True,
        held_out=4_096,
        micro_batch=64,
    )
    generator = None if objective == "mlm" else add(public("google/electra-base-generator"))
    return Pretrained.C(
        data=add(data(collection)),
        start=add(public(start or "bert-base-uncased", digest="0" if start else "")),
        generator=generator,
        objective=objective,
        settings=settings,
    )


def test_the_papers_pre_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """80,000 updates of 2,048 passages of about 75 tokens at 0.95 GFLOP a token: 11,700 PFLOP; four models are kept."""
    found = work(pretrained, tmp_path)
    assert found.flop["pretrain"] == pytest.approx(11_700e15, rel=0.02)
    assert found.disk_bytes == pytest.approx(4 * 4 * 109e6, rel=0.03)
    assert 34.6e9 < found.gpu_bytes < 45e9, "packs of 75,776 tokens took 34.6 GB (reports/performance.json)"
    alone = work(lambda add: pretrained(add, "mlm"), tmp_path)
    assert 0.5 < alone.flop["pretrain"] / found.flop["pretrain"] < 0.7
    monkeypatch.setattr("simlm.costs.work.PADDED_OBJECTIVES", PADDED_OBJECTIVES | {"replaced_lm"})
    padded = work(pretrained, tmp_path)
    assert padded.flop == {"padded pretrain": found.flop["pretrain"]} and padded.gpu_bytes < found.gpu_bytes / 4


def test_encoding_and_searching_ms_marco(tmp_path: Path) -> None:
    """113 PFLOP to encode, 95 TFLOP to search 6,980 queries, 27 GB of float32 vectors."""
    rest = {"splits": ["test"], "depth": 1000, "mining_depth": 200, "query_length": 32, "passage_length": 144}
    found = work(lambda add: Retrieve.C(data=add(data()), retriever=add(public()), **rest), tmp_path)
    assert found.flop["encode"] == pytest.approx(113e15, rel=0.03)
    assert found.flop["search"] == pytest.approx(95e12, rel=0.01)
    vectors, places = 4 * 8_841_823 * 768, 6_980 * 1_000
    assert vectors < found.disk_bytes < vectors + 100 * places


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
    assert found.gpu_bytes == pytest.approx(23.7e9, rel=0.05)


def test_what_nothing_is_known_of(tmp_path: Path) -> None:
    assert work(lambda add: data("somebodys"), tmp_path) == UNKNOWN
    assert work(lambda add: pretrained(add, collection="somebodys"), tmp_path) == UNKNOWN
    assert work(lambda add: pretrained(add, start=str(tmp_path)), tmp_path) == UNKNOWN, "a folder without config.json"
    assert work_of(object()) == Work()  # type: ignore[arg-type]


def test_a_local_model_is_known_by_its_configuration(tmp_path: Path) -> None:
    sizes = '"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16'
    (tmp_path / "config.json").write_text(f'{{{sizes}, "vocab_size": 100, "embedding_size": 4}}')
    model = model_of(public(str(tmp_path)))
    assert model.weights == (100 + 512) * 4 + 4 * 8 + 2 * (4 * 64 + 2 * 8 * 16)
    assert model_of(public("somebody/else")) == BERT_BASE


def test_lengths_are_cut_and_their_means_are_those_of_a_sample() -> None:
    drawn = np.random.default_rng(0).lognormal(np.log(69.5), 0.4, 200_000).round()
    for longest in (32, 144):
        assert stated(MSMARCO).passage(longest) == pytest.approx(np.minimum(drawn, longest).mean(), rel=0.01)
    assert stated(MSMARCO).pair(192) == pytest.approx(75.4 + 9 - 1, rel=0.02)
    assert log_normal(50, 0.3).sum() == pytest.approx(1)


def test_a_download_counts_once_and_passing_files_one_stage_at_a_time() -> None:
    one = Work({"encode": 1e15}, 5.0, 3.0, downloads={"model": 7.0})
    other = Work({"encode": 1e15, "search": 2.0}, 5.0, 4.0, downloads={"model": 7.0, "data": 1.0})
    found = total([one, other, UNKNOWN])
    assert found.flop == {"encode": 2e15, "search": 2.0}
    assert (found.disk_bytes, found.passing_bytes, sum(found.downloads.values()), found.unknown) == (10, 4, 8, 1)


def test_what_is_larger_than_a_gpus_memory_is_said(tmp_path: Path) -> None:
    works = {
        "fits": Work(weights_bytes=10e9, batch_bytes=60e9),
        "in parts": Work(weights_bytes=12e9, batch_bytes=192e9),
        "not at all": Work(weights_bytes=90e9, batch_bytes=1e9),
    }
    assert misfits(works, tmp_path, 80e9) == [
        "not the whole batch at once in 80.0 GB of GPU memory: in parts (204.0 GB, of which 12.0 GB are no batch), "
        "not at all (91.0 GB, of which 90.0 GB are no batch); batches go in parts, what is no batch has to fit"
    ]
