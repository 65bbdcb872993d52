"""A small report with every part filled, from made-up per-query values."""

import copy
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.assess import Order, assess
from reports.facts import Case, CasePassage, CaseResult, FileRef, HyperParameter, StageFacts, Trial, Tuning
from reports.files import write_report
from reports.model import CollectionFacts, Column, Group, Report, Row

MEASURES = ["RR@10", "R@50", "R@1000", "nDCG@10"]
MADE_BEFORE = {"identifier": "fedcba9876543210", "outputs": "4f" * 32, "commit": "ab" * 20}
"""What an older version of this project says of a stage."""
MADE_NOW: dict[str, Any] = {"identifier": "0123456789abcdef", "outputs": "2f" * 32, "commit": "cd" * 20}
MADE_NOW |= {"class": "Pretrained", "version": 2, "data": ["1f" * 32], "modules": ["simlm"], "sources": "3f" * 32}


def per_query(mean: float, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    values = np.clip(generator.normal(mean, 0.15, (60, 4)), 0, 1)
    return pd.DataFrame(values, columns=MEASURES, index=pd.Index([f"q{i}" for i in range(60)], name="query_id"))


@pytest.fixture(scope="session")
def values() -> dict[str, pd.DataFrame]:
    """BM25 above everything, which contradicts the paper; SimLM above base, as in the paper."""
    return {"bm25": per_query(0.8, 1), "base": per_query(0.3, 2), "simlm": per_query(0.5, 3)}


@pytest.fixture
def report(made: Report) -> Report:
    """The report, which a test may change."""
    return copy.deepcopy(made)


@pytest.fixture
def written(written_once: Path, tmp_path: Path) -> Path:
    """A folder with the report's files, which a test may change."""
    return Path(shutil.copytree(written_once, tmp_path / "written"))


@pytest.fixture(scope="session")
def written_once(made: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report's files; drawing its plots takes a second."""
    folder = tmp_path_factory.mktemp("once")
    write_report(made, folder, "table2")
    return folder


@pytest.fixture(scope="session")
def made(values: dict[str, pd.DataFrame]) -> Report:
    rows = [
        Row(
            "bm25",
            "BM25 | default",
            "sparse",
            published={"mrr10": 18.5, "r50": 58.5, "dl19_ndcg10": 51.2},
            note="A note with a | bar.",
            seconds=32.0,
            index_bytes=8_400_000,
            latency_ms=4.1,
            run=FileRef("runs/bm25.trec", "ab" * 32),
            per_query=FileRef("runs/bm25.csv", "cd" * 32),
        ),
        Row("base", "no further pre-training", published={"mrr10": 33.7}),
        Row("simlm", "SimLM", published={"mrr10": 41.1, "r50": 87.8}),
        Row("ance", "ANCE", published={"mrr10": 33.0, "r1k": 95.9}),
    ]
    passage = CasePassage("p1", "It costs $20 to $30 | *month*, <b>really</b>.", relevant=True)
    results = [CaseResult("simlm", [passage], 1), CaseResult("bm25", [], None)]
    result = Report(
        title="Table 2: main results",
        scale="smoke",
        collection=CollectionFacts("toy", "test", 300, 60, "A toy.", {"overlap": {"questions": 6}}),
        rows=rows,
        measures=list(MEASURES),
        baselines=["bm25", "base"],
        warnings=["Made-up values."],
        stages=[
            StageFacts("pre-training", "0123456789abcdef", 190.0, 5000.0, 2_100_000_000, None, 2),
            StageFacts("Retriever1", "fedcba9876543210", 80.0, reused=True),
        ],
        losses={"pre-training": [(1, 8.0), (2, 7.0)], "Retriever1": [(step, 1 / step) for step in range(1, 900)]},
        cases=[Case("q1", "Is <this> a $5 query?", [passage], results)],
        hyperparameters=[HyperParameter("learning rate", "3e-4", "2e-5", "3 trials on valid")],
        tuning=[Tuning("bm25", "RR@10", [Trial({"k1": 0.9}, 0.3, True), Trial({"k1": 1.2}, 0.2, False)])],
        provenance={
            "implementation": {"source": {"commit": "ab" * 20, "dirty": False}},
            "method": {"seed": 7, "stages": {"pre-training": MADE_NOW, "Retriever1": MADE_BEFORE}},
        },
        notes=["One | note."],
    )
    orders = [("base", "simlm"), ("bm25", "simlm"), ("base", "ance")]
    assess(result, values, [Order(lower, higher, "Table 2") for lower, higher in orders])
    return result


@pytest.fixture
def grouped(values: dict[str, pd.DataFrame]) -> Report:
    """Two rows on each of two collections, the second with measures and a column of its own."""
    second = {
        f"{key}-2": per_query(mean, seed).rename(index=lambda query: f"second-{query}")
        for key, mean, seed in (("base", 0.4, 4), ("simlm", 0.42, 5))
    }
    toy, other = CollectionFacts("toy", "test", 300, 60), CollectionFacts("second", "test", 400, 60)
    mrr, r20 = Column("mrr10", "MS MARCO dev", "MRR@10", "RR@10"), Column("nq_r20", "NQ test", "R@20", "R@50")
    result = Report(
        title="Table 10: corpora",
        scale="smoke",
        collection=CollectionFacts("both", "test", 700, 120, facts={"passages": 700}),
        rows=[
            Row("base", "one, base", published={"mrr10": 33.7}, group="one"),
            Row("simlm", "one, SimLM", published={"mrr10": 38.0}, group="one"),
            Row("base-2", "two, base", published={"nq_r20": 82.9}, group="two"),
            Row("simlm-2", "two, SimLM", published={"nq_r20": 84.3}, group="two", note="The only note."),
        ],
        measures=["RR@10", "R@50"],
        baselines=["base", "base-2"],
        groups=[
            Group("one", toy, ["RR@10", "R@50"], [mrr], ["base"]),
            Group("two", other, ["R@50"], [r20], ["base-2"]),
        ],
    )
    orders = [Order("base", "simlm", "Table 10"), Order("base-2", "simlm-2", "Table 10")]
    first = {key: values[key] for key in ("base", "simlm")}
    assess(result, first | second, [*orders, Order("base", "simlm-2", "no table")])
    return result
