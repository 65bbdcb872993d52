"""Tables 11 and 13: every cell of the paper's, every setting of the scale's, and a command that is quick."""

import csv
import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from reports.page import Page
from repro import table11, table13
from repro.command import Options
from repro.hyperparameters import choices, hyperparameters
from repro.trials import tried_values
from simlm.errors import UserError
from simlm.scales import NAMES, Scale, open_scale
from tests.repro.commands import ROOT, finished, start
from tests.repro.test_hyperparameters import same


@pytest.fixture(params=NAMES)
def scale(request: pytest.FixtureRequest) -> Scale:
    return open_scale(request.param)


def printed(table: str) -> dict[str, dict[str, str]]:
    """The paper's table as the file has it, by the name of its rows."""
    lines = files("repro.published").joinpath(f"{table}.csv").read_text(encoding="utf-8").splitlines()
    return {row.pop("hyperparameter"): row for row in csv.DictReader(lines)}


def pages(scale: Scale) -> tuple[Page, Page]:
    settings = hyperparameters(scale, {}) + choices(scale)
    return table11.table11(scale, settings), table13.table13(scale, settings)


def test_every_cell_of_the_papers_is_there(scale: Scale) -> None:
    eleven, thirteen = pages(scale)
    assert [
        (row["the paper's row"], row["paper, MS MARCO"], row["paper, Wikipedia"]) for row in eleven.sections[0].rows
    ] == [(name, cells["ms_marco"], cells["wikipedia"]) for name, cells in printed("table11").items()]
    for section, column in zip(thirteen.sections, ("retriever_1_2", "reranker", "retriever_distill"), strict=False):
        assert [(row["the paper's row"], row["paper, MS MARCO"]) for row in section.rows] == [
            (name, cells[column]) for name, cells in printed("table13").items() if cells[column]
        ]


def test_at_paper_scale_each_setting_stands_beside_its_own_row() -> None:
    """Where the paper counts epochs, ours counts updates; public models have names of the Hub's."""
    rows = [row for page in pages(open_scale("paper")) for section in page.sections for row in section.rows]
    shown = [(row["the paper's row"], row["here"], row["paper, MS MARCO"]) for row in rows if "the paper's row" in row]
    assert {(name, here) for name, here, papers in shown if here is not None and not same(here, papers)} == {
        ("epochs", "23577"),
        ("epochs", "47154"),
        ("initialisation", "bert-base-uncased"),
        ("initialisation", "electra"),
        ("passage length", "192"),  # "192 (query and passage together)"
    }


def test_every_setting_stands_on_one_page_once(scale: Scale) -> None:
    shown = [
        (row["setting"], row["here"], row["how chosen"])
        for page in pages(scale)
        for section in page.sections
        for row in section.rows
        if row["setting"] is not None
    ]
    assert sorted(shown) == sorted(
        (one.name, one.value, one.chosen) for one in hyperparameters(scale, {}) + choices(scale)
    )


@pytest.mark.parametrize("name", ["table11", "table13"])
def test_the_command_imports_no_torch_and_leaves_page_and_twin(name: str, tmp_path: Path) -> None:
    results = tmp_path / "results"
    code = (
        "import sys; from pathlib import Path; from repro.command import Options; "
        f"from repro.{name} import run; run(Options(results=Path(sys.argv[1]))); "
        "sys.exit(3 if 'torch' in sys.modules or 'ir_datasets' in sys.modules else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(results)], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert {path.name for path in (results / "mini").iterdir()} == {f"{name}.md", f"{name}.json"}
    page = json.loads((results / "mini" / f"{name}.json").read_text(encoding="utf-8"))
    assert page["stages"] == [] and page["provenance"]["tag"] == f"{name}-mini"
    assert {"commit", "dirty"} <= set(page["provenance"]["implementation"]["source"])
    assert page["provenance"]["method"]["seeds"]
    rows = {row["setting"]: row for section in page["sections"] for row in section["rows"]}
    tried = {
        "table11": ["pre-training: learning rate"],
        "table13": ["Retriever1/2: learning rate", "distillation: alpha"],
    }[name]
    said = {setting for setting, row in rows.items() if "tried on valid" in row["how chosen"]}
    assert said >= set(tried) if tried_values("mini") else not said


def test_a_dry_run_says_that_there_is_nothing_to_run(tmp_path: Path) -> None:
    ran = finished(start("--results", str(tmp_path / "results"), "--dry-run", table="table13"))
    assert ran.returncode == 0 and ran.stderr == "" and ran.stdout.startswith("no stage to run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", [table11, table13], ids=["table11", "table13"])
@pytest.mark.parametrize(
    "given", [{"rows": ("bm25",)}, {"negatives": "package"}, {"seed": 1}, {"device": "cpu"}], ids=lambda one: [*one][0]
)
def test_options_that_change_nothing_are_refused(module: Any, given: dict[str, Any], tmp_path: Path) -> None:
    (option,) = given
    with pytest.raises(UserError, match=rf"--{option} changes nothing in table1[13]: leave it out"):
        module.run(Options(results=tmp_path / "results", **given))
    assert list(tmp_path.iterdir()) == []
