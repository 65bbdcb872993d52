"""`python -m repro.costs`: sums by table, and the document that shows them."""

import json
from pathlib import Path
from typing import Any

import pytest

from repro import costs
from repro.costing import growth
from repro.costing.growth import growth_costs
from repro.costing.tables import Costs, table_costs
from repro.costs import DOCUMENT, QUOTE, CostOptions, markdown
from repro.tables import TABLES
from simlm.costs.throughput import PACKED, PERFORMANCE, WAYS, Throughput, published_shares, throughput
from simlm.errors import UserError

EVEN = Throughput(1e15, dict.fromkeys(PACKED, 0.5), "made up", True)


@pytest.fixture(scope="module")
def paper() -> Costs:
    return Costs.of("paper", EVEN, EVEN)


def title(name: str) -> str:
    return name.replace("table", "Table ").replace("figure", "Figure ")


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_shared_stages_count_once_and_no_chain_is_shorter_than_its_parts(paper: Costs) -> None:
    lines = [cells(line) for line in table_costs(paper, 8)[2:]]
    assert [line[0] for line in lines[:-1]] == [title(name) for name in TABLES if name != "table10"]
    flop = [float(line[2].replace(",", "")) for line in lines]
    assert max(flop[:-1]) < flop[-1] < sum(flop[:-1])
    for line, own in zip(lines, flop, strict=True):
        alone, apart, together = (float(cell.removesuffix(" h").replace(",", "")) for cell in line[4:7])
        assert alone == pytest.approx(own / 0.5 / 3_600, abs=0.06)  # a PFLOP/s, half of it
        assert together == pytest.approx(alone / 8, abs=0.06)
        assert together - 0.06 <= apart <= alone


def test_table_2_is_known_whole(paper: Costs) -> None:
    assert all(paper.works[stage.job].known for stage in paper.tables["table2"])
    (pretraining,) = [stage for stage in paper.tables["table2"] if stage.name == "SimLM pre-training"]
    assert sum(paper.works[pretraining.job].flop.values()) == pytest.approx(11_300e15, rel=0.05)


def test_growth_is_linear() -> None:
    million, *_, billion = [cells(line) for line in growth_costs(EVEN, 8)[2:] if line.startswith("|")]
    for one, other in zip(million[3:5], billion[3:5], strict=True):
        assert float(other.split()[0].replace(",", "")) == pytest.approx(1_000 * float(one.split()[0]), rel=0.03)


def test_memory_is_that_of_the_published_measurement() -> None:
    report = json.loads((DOCUMENT.parents[1] / "reports" / "growth.json").read_text())
    said = growth_costs(EVEN, 8)[-1]
    for words, step in (("tokenising takes", "tokenise"), ("and encoding", "encode")):
        small, large = sorted((one for one in report["results"] if one["task"] == step), key=passages)[-2:]
        taken = [one["own_bytes"] - one["own_bytes_before"] for one in (small, large)]
        each = (taken[1] - taken[0]) / (passages(large) - passages(small))
        assert f"{words} {each:.1f} " in said and f"from {passages(small):,} to {passages(large):,} passages" in said
        if step == "tokenise":
            assert cells(growth_costs(EVEN, 8)[2])[2] == f"{each:.1f} MB", "of a million passages"


def test_a_measurement_of_one_size_shows_no_growth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = json.loads(growth.MEASURED.read_text())
    report["results"] = [one for one in report["results"] if one["passages"] == 10_000]
    short = tmp_path / "growth.json"
    short.write_text(json.dumps(report))
    monkeypatch.setattr(growth, "MEASURED", short)
    with pytest.raises(UserError, match=r"growth\.json measures tokenise at fewer than two sizes.*without --largest"):
        costs.run(CostOptions())
    assert capsys.readouterr().out == ""


def passages(result: dict[str, Any]) -> int:
    found: int = result["passages"]
    return found


def test_shares_are_those_of_the_published_report() -> None:
    for way in WAYS:
        shares, _ = published_shares(way)
        reached = throughput(800.0, way)
        assert reached.seconds({"encode": 8e14}) == pytest.approx(1 / shares["encode"])
        assert all(0 < share < 1 for share in shares.values()) and "800 TFLOP/s, as stated" in reached.source


def test_series_of_other_sizes_are_no_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = json.loads(PERFORMANCE.read_text(encoding="utf-8"))
    usual = published_shares("as stages compute")
    report["results"] += [one | {"varied": "size", "at": 1, "share_of_peak": 0.01} for one in report["results"]]
    (tmp_path / "performance.json").write_text(json.dumps(report), encoding="utf-8")
    monkeypatch.setattr("simlm.costs.throughput.PERFORMANCE", tmp_path / "performance.json")
    assert published_shares("as stages compute") == usual


def test_the_document_shows_what_the_command_says() -> None:
    """`python -m repro.costs --publish` makes it so."""
    quoted = QUOTE.search(DOCUMENT.read_text(encoding="utf-8"))
    assert quoted is not None
    assert quoted[0] == quoted[1] + markdown(CostOptions()) + quoted[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (CostOptions(scale="huge"), "unknown scale"),
        (CostOptions(tflops=-1.0), "--tflops -1"),
        (CostOptions(gpus=0), "--tflops and --gpus"),
        (CostOptions(gpus=2, publish=True), "--publish is for the paper on H100s"),
    ],
)
def test_mistakes(options: CostOptions, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMLM_SCALE", "mini")  # what a command leaves there goes with the test
    with pytest.raises(UserError, match=said):
        costs.run(options)
