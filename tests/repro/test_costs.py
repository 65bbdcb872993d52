"""`python -m repro.costs`: sums by table, the document that shows them, and a dry run at paper scale."""

import json
import re
from pathlib import Path

import pytest

from repro import costs
from repro.command import Options
from repro.costs import DOCUMENT, QUOTE, CostOptions, growth_costs, markdown, planned, table_costs
from repro.run import run_table
from repro.table2 import table2
from repro.tables import TABLES
from simlm.costs import needs
from simlm.costs.throughput import MEASURED, PERFORMANCE, Throughput, published_shares, throughput
from simlm.costs.work import work_of
from simlm.errors import UserError

EVEN = Throughput(1e15, dict.fromkeys(MEASURED, 0.5), "made up", True)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_shared_stages_count_once_and_no_chain_is_shorter_than_its_parts() -> None:
    names = [name for name in TABLES if name != "table10"]
    lines = [cells(line) for line in table_costs({name: planned(name, "paper") for name in names}, EVEN, 8)[2:]]
    assert [line[0].lower().replace(" ", "") for line in lines[:-1]] == names
    flop = [float(line[2].replace(",", "")) for line in lines]
    assert max(flop[:-1]) < flop[-1] < sum(flop[:-1])
    for line, own in zip(lines, flop, strict=True):
        alone, apart, together = (float(cell.removesuffix(" h").replace(",", "")) for cell in line[3:6])
        assert alone == pytest.approx(own / 0.5 / 3_600, abs=0.06)  # a PFLOP/s, half of it
        assert together == pytest.approx(alone / 8, abs=0.06)
        assert together - 0.06 <= apart <= alone


def test_table_2_is_known_whole() -> None:
    stages = planned("table2", "paper")
    works = {stage.name: work_of(stage.config) for stage in stages}
    assert not any(work.unknown for work in works.values())
    assert works["SimLM pre-training"].all_flop == pytest.approx(11_700e15, rel=0.02)


def test_growth_is_linear() -> None:
    million, *_, billion = [cells(line) for line in growth_costs(EVEN)[2:]]
    for one, other in zip(million[2:], billion[2:], strict=True):
        assert float(other.split()[0].replace(",", "")) == pytest.approx(1_000 * float(one.split()[0]), rel=0.1)


def test_shares_are_those_of_the_published_report_without_its_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares, device = published_shares()
    reached = throughput(800.0)
    assert reached.seconds({"encode": 8e14}) == pytest.approx(1 / shares["encode"])
    assert "800 TFLOP/s, as stated" in reached.source and device in reached.source
    assert all(0 < share < 1 for share in shares.values())
    report = json.loads(PERFORMANCE.read_text(encoding="utf-8"))
    report["results"] += [one | {"varied": "size", "at": 1, "share_of_peak": 0.01} for one in report["results"]]
    (tmp_path / "performance.json").write_text(json.dumps(report), encoding="utf-8")
    monkeypatch.setattr("simlm.costs.throughput.PERFORMANCE", tmp_path / "performance.json")
    assert published_shares() == (shares, device)


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
def test_mistakes(options: CostOptions, said: str) -> None:
    with pytest.raises(UserError, match=said):
        costs.run(options)


def test_a_dry_run_of_the_paper_on_a_gpu_that_is_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is fetched, and nothing written; disk and memory that lack are said, with a way out."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(needs, "free_bytes", lambda folder: 10**9)
    results = tmp_path / "results"
    run_table(table2(), Options(scale="paper", results=results, dry_run=True, tflops=800.0))
    said = capsys.readouterr().out
    assert not results.exists()
    (line,) = [line.split() for line in said.splitlines() if "SimLM pre-training" in line and "to do: new" in line]
    assert "11,735" in line and line[-2:] == ["40.8", "GB"]
    seconds = sum(int(found.replace(",", "")) for found in re.findall(r"to do: new +about +([\d,]+) ", said))
    assert f"at least {seconds / 3600:.0f} h with one such GPU" in said
    assert "does not fit: --results" in said and "1.0 GB are free; free some space" in said
    assert "not the whole batch at once" not in said, "packs are made to fit"
