"""Tables 3 and 9 from Table 2's stages by the real command."""

from pathlib import Path
from typing import Any

import pytest

from repro import table3, table9
from repro.command import Options
from repro.published import published
from simlm.data.opening import open_collection
from simlm.data.store import TokenisedCollection
from simlm.errors import UserError
from tests.repro.commands import Results

INDEX = "Retriever_distill (simlm): runs"
RUNS = {
    "BM25 (k1 0.9, b 0.4)": "BM25",
    "no further pre-training, distilled": "Retriever_distill (base): runs",
    "SimLM, distilled": INDEX,
}
"""The stage of each row that Table 9 shows."""


@pytest.fixture(scope="module", params=["table3", "table9"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_nothing_is_computed_again(name: str, tables: Results, smoke: Results) -> None:
    page = tables.twin(name)
    assert page["stages"] and all(stage["reused"] for stage in page["stages"])
    assert tables.stages(name).items() <= smoke.stages("table2").items()


def test_the_provenance_is_that_of_table_2(name: str, tables: Results, smoke: Results) -> None:
    page, table = tables.twin(name)["provenance"], smoke.report["provenance"]
    assert set(page) == set(table) and page["tag"] == f"{name}-smoke"
    assert page["data"] == table["data"] and page["method"]["seeds"] == table["method"]["seeds"]
    for stage, found in page["method"]["stages"].items():
        assert found == table["method"]["stages"][stage]
    assert page["method"]["runs"][INDEX] == table["method"]["runs"]["simlm"]
    assert str(tables.folder) not in tables.page(name).read_text(encoding="utf-8")


def test_table_3_has_the_bytes_on_disk_and_those_of_a_vector_a_token(tables: Results) -> None:
    here, arithmetic = tables.twin("table3")["sections"]
    multi, ours = here["rows"]
    job = tables.job(INDEX, "table3")
    assert ours["bytes"] == sum(path.stat().st_size for path in (job / "output" / "passages").rglob("*"))

    passages = TokenisedCollection.open(tables.job("collection", "table3") / "output" / "store").passages
    tokens = 0
    for i in range(len(passages)):
        tokens += len(["[CLS]", "[D]", *passages.text(i)][:179]) + 1
    assert (ours["vectors"], multi["vectors"], multi["bytes"]) == (len(passages), tokens, tokens * 128 * 2)

    paper = published("table3").set_index("model")
    for row, model in ((multi, "ColBERTv2"), (ours, "SimLM")):
        assert [row["paper, MS MARCO"], row["paper, search"]] == list(paper.loc[model])
    assert f"{multi['bytes'] / ours['bytes']:.1f} times" in here["text"]
    sizes = [row["bytes"] for row in arithmetic["rows"]]
    assert sizes[2] == 8_841_823 * 768 * 4 and round(sizes[2] / 1e9) == 27
    assert round(sizes[0] / 2**30) == 154 and 150e9 < sizes[1] <= 150e9 + 8_841_823 * 256
    assert "not measured" in arithmetic["heading"]


def ranks(run: Path) -> dict[str, int]:
    """The rank of the first relevant passage of each test question that has one in the run."""
    qrels = open_collection("insuranceqa-smoke").qrels("test")
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    for line in run.read_text().splitlines():
        query, _, passage, *_ = line.split()
        counts[query] = counts.get(query, 0) + 1
        if qrels[query].get(passage, 0) > 0:
            found.setdefault(query, counts[query])
    return found


def test_table_9_shows_disagreements_with_the_ranks_of_the_run_files(tables: Results, smoke: Results) -> None:
    sections = tables.twin("table9")["sections"]
    assert len(sections) == len(table9.PAIRS)
    for section in sections:
        first, second = section["heading"].split(" against ")
        found = {label: ranks(smoke.job(RUNS[label]) / "output" / "test.run") for label in (first, second)}
        assert len(section["cases"]) == len(section["rows"]) > 0
        for line, case in zip(section["rows"], section["cases"], strict=True):
            assert (line["id"], line["question"]) == (case["query_id"], case["query"])
            for result in case["results"]:
                rank = found[result["row"]].get(line["id"])
                assert result["first_relevant_rank"] == rank == line[f"first relevant, {result['row']}"]
                for place, passage in enumerate(result["passages"], start=1):
                    assert passage["relevant"] == (rank == place) or (rank is not None and rank < place)


@pytest.mark.parametrize("run", [table3.run, table9.run], ids=["table3", "table9"])
def test_rows_are_refused(run: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--rows changes nothing in table[39]: leave it out"):
        run(Options(scale="smoke", rows=("bm25",), results=tmp_path / "results"))
    assert list(tmp_path.iterdir()) == []
