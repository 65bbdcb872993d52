"""`--released` from the Hub: a checkpoint that it refuses leaves its row out, and the others go on."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RemoteEntryNotFoundError, RepositoryNotFoundError

from baselines.systems import SYSTEMS, system, systems_in
from repro.released import ReleasedOptions, checkpoints_for, released
from repro.table import ReleasedRows, Table
from repro.table2 import table2
from simlm.data.catalogue import MSMARCO
from simlm.errors import UserError
from tests.baselines.repositories import repositories
from tests.data.released import unpacked
from tests.repro import commands

SIMLM, COLBERT = "intfloat/simlm-base-msmarco-finetuned", "colbert-ir/colbertv2.0"


@pytest.fixture
def refusing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """A Hub that refuses what it is told to, as "org/name" to an error, and what it was asked for."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    def hub(refused: dict[str, Exception], every: Exception | None = None) -> list[str]:
        asked: list[str] = []

        def metadata(url: str, **named: Any) -> None:
            name = "/".join(url.split("/")[3:5])
            asked.append(name)
            if (error := refused.get(name, every)) is not None:
                raise error

        monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", metadata)
        return asked

    return hub


def refusal(kind: type[HfHubHTTPError], status: int) -> HfHubHTTPError:
    return kind("no", response=httpx.Response(status, request=httpx.Request("GET", "https://hub.invalid/")))  # type: ignore[arg-type]


def table(results: Path, *rows: str, **options: Any) -> Table:
    given = ReleasedOptions(scale="paper", released=True, results=results, rows=rows, **options)
    checkpoints = checkpoints_for(given)
    assert checkpoints is not None
    return released(replace(table2(), released=ReleasedRows(systems_in("table2"), MSMARCO)), checkpoints, given)


def test_what_the_hub_refuses_is_left_out_and_says_why(refusing: Callable[..., list[str]], tmp_path: Path) -> None:
    errors = {
        "castorini/ance-msmarco-passage": refusal(GatedRepoError, 403),
        "Shitao/RetroMAE_MSMARCO_finetune": refusal(RepositoryNotFoundError, 404),
        COLBERT: refusal(RemoteEntryNotFoundError, 404),
    }
    asked = refusing(errors)
    made = table(tmp_path / "results")
    assert [row.key for row in made.rows] == ["bm25", "doct5query", "tas-b", "cocondenser", "simlm"]
    notes = {row.key: row.note for row in made.paper_only}
    assert "Not measured: model castorini/ance-msmarco-passage is gated: accept its terms" in notes["ance"]
    assert "Not measured: model Shitao/RetroMAE_MSMARCO_finetune (revision main): the Hub has no" in notes["retromae"]
    commit = system("colbertv2").pin.commit
    assert f"model colbert-ir/colbertv2.0 (revision {commit}): there is no config.json" in notes["colbertv2"]
    assert not [note for note in notes.values() if "\n" in note]
    assert all(row.published for row in made.paper_only), "the printed figures stay"
    assert len(asked) == len(set(asked)), "once each"
    refusing({})
    again = table(tmp_path / "results")
    assert {"ance", "retromae", "colbertv2"} <= {row.key for row in again.rows}
    assert not (tmp_path / "results").exists()


def test_a_row_that_is_asked_for_and_refused_ends_it(refusing: Callable[..., list[str]], tmp_path: Path) -> None:
    asked = refusing({"castorini/ance-msmarco-passage": refusal(GatedRepoError, 403)})
    with pytest.raises(UserError, match="^--rows ance: ANCE: Not measured: model .* is gated"):
        table(tmp_path / "results", "ance", "tas-b")
    assert asked == ["castorini/ance-msmarco-passage", "sentence-transformers/msmarco-distilbert-base-tas-b"]
    refusing({}, every=httpx.ConnectError("no route"))
    assert "bm25" in {row.key for row in table(tmp_path / "results", "bm25").rows}, "Pyserini's, which is not the Hub's"


@pytest.mark.parametrize(
    ("error", "said"),
    [(httpx.ConnectError("no route"), "cannot be reached"), (HfHubHTTPError, "answered with status 503")],
)
def test_without_an_answer_it_ends_at_once(
    error: Any, said: str, refusing: Callable[..., list[str]], tmp_path: Path
) -> None:
    """Rows of what happened to be answered would change with the next run, and what stands on them too."""
    asked = refusing({}, every=error if isinstance(error, Exception) else refusal(error, 503))
    with pytest.raises(UserError, match=f"the Hub {said}"):
        table(tmp_path / "results")
    assert len(asked) == 1


def test_a_dry_run_asks_nobody(refusing: Callable[..., list[str]], tmp_path: Path) -> None:
    asked = refusing({}, every=httpx.ConnectError("no route"))
    assert {"bm25", "ance", "simlm"} <= {row.key for row in table(tmp_path / "results", dry_run=True).rows}
    assert not asked


@pytest.mark.parametrize("name", ["table2", "table3"])
def test_without_any_checkpoint_one_line_says_so(name: str, tmp_path: Path) -> None:
    archives = unpacked(tmp_path / "archives")
    options = ("--collection", str(archives), "--results", str(tmp_path / "results"))
    ran = commands.released(name, *options, HF_HUB_CACHE=str(tmp_path / "hub"))
    assert ran.returncode == 2 and len(ran.stderr.splitlines()) == 1, ran.stderr
    assert ran.stderr.startswith(
        "error: none of the published checkpoints is to be had (--models DIR reads a folder): "
    )
    assert "is not in the Hub's cache, and HF_HUB_OFFLINE forbids to fetch it" in ran.stderr
    assert not (tmp_path / "results").exists() and not (tmp_path / "hub").exists()


def test_what_was_measured_needs_no_hub_and_what_comes_later_is_measured_then(tmp_path: Path) -> None:
    models = repositories(tmp_path / "models")
    options = ("--collection", str(unpacked(tmp_path / "archives")), "--results", str(tmp_path / "results"))
    ran = commands.released("table3", *options, HF_HUB_CACHE=cached(models, tmp_path / "first", SIMLM))
    assert ran.returncode == 0, ran.stderr
    first = sections(tmp_path / "results")
    assert [row["index"] for row in first["rows"]] == ["SimLM"]
    assert "ColBERTv2: Not measured: model colbert-ir/colbertv2.0 is not in the Hub's cache" in first["text"]
    ran = commands.released("table3", *options, HF_HUB_CACHE=cached(models, tmp_path / "second", COLBERT))
    assert ran.returncode == 0, ran.stderr
    second = sections(tmp_path / "results")
    assert [row["index"] for row in second["rows"]] == ["ColBERTv2", "SimLM"] and second["rows"][1] == first["rows"][0]
    assert "Not measured" not in (second["text"] or "")


def cached(models: Path, cache: Path, repository: str) -> str:
    """A cache of the Hub's that has one repository, at its pinned commit."""
    revision = next(one.revisions[repository] for one in SYSTEMS if repository in one.revisions)
    folder = cache / f"models--{repository.replace('/', '--')}"
    shutil.copytree(models / repository.replace("/", "--"), folder / "snapshots" / revision)
    return str(cache)


def sections(results: Path) -> dict[str, Any]:
    (path,) = results.glob("paper/released_collection-*/table3.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["sections"][0]
    return found
