"""Copies of published models: pickles of plain weights become safetensors, and all others are refused."""

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from huggingface_hub.errors import RevisionNotFoundError
from safetensors.torch import load_file

from simlm.errors import UserError
from simlm.models.fetch import copy_model
from simlm.models.folder import PICKLE, WEIGHTS


def folder_with(folder: Path, content: Any) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    torch.save(content, folder / PICKLE)
    return folder


def test_plain_weights_become_safetensors_shared_ones_too(tmp_path: Path) -> None:
    words = torch.randn(5, 3)
    weights = OrderedDict(embeddings=words, tied=words, turned=words.T, half=words.half(), whole=torch.arange(3))
    made = copy_model(str(folder_with(tmp_path / "a", weights)), "main", tmp_path / "copy")
    found = load_file(tmp_path / "copy" / WEIGHTS)
    assert made == {"source": "a", "revision": "main"} and not (tmp_path / "copy" / PICKLE).exists()
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) and found[name].dtype == weights[name].dtype for name in found)


class Runs:
    """What a pickle can do that is not plain."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    source = folder_with(tmp_path / "a", {"weight": Runs(tmp_path / "ran")})
    with pytest.raises(
        UserError, match=r"pytorch_model.bin: not plain weights, or damaged .*convert it to safetensors"
    ):
        copy_model(str(source), "main", tmp_path / "copy")
    assert not (tmp_path / "ran").exists() and not (tmp_path / "copy" / WEIGHTS).exists()


@pytest.mark.parametrize("content", [{"weight": 3}, [torch.zeros(2)], {"model": {"weight": torch.zeros(2)}}])
def test_what_is_no_tensors_by_name_is_refused(content: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not plain weights, which are tensors by name"):
        copy_model(str(folder_with(tmp_path / "a", content)), "main", tmp_path / "copy")


def test_a_damaged_pickle_is_refused(tmp_path: Path) -> None:
    source = folder_with(tmp_path / "a", {"weight": torch.zeros(99)})
    whole = (source / PICKLE).read_bytes()
    (source / PICKLE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="not plain weights, or damaged"):
        copy_model(str(source), "main", tmp_path / "copy")


def test_from_the_hub_the_pickle_is_fetched_only_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789" * 4
    asked: list[list[str]] = []

    def snapshot_download(name: str, revision: str, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        cache = tmp_path / "cache" / commit
        if not cache.is_dir():
            cache.mkdir(parents=True)
            (cache / "config.json").write_text("{}")
        if PICKLE in allow_patterns:
            torch.save({"weight": torch.ones(2)}, cache / PICKLE)
        return str(cache)

    monkeypatch.setattr("simlm.models.fetch.snapshot_download", snapshot_download)
    made = copy_model("some/model", "main", tmp_path / "copy")
    assert made == {"source": "some/model", "revision": "main", "commit": commit}
    assert [PICKLE in patterns for patterns in asked] == [False, True]
    assert torch.equal(load_file(tmp_path / "copy" / WEIGHTS)["weight"], torch.ones(2))


def test_a_pinned_commit_that_the_hub_no_longer_has_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(name: str, **named: Any) -> str:
        asked.append((name, named["revision"]))
        response = httpx.Response(404, request=httpx.Request("GET", "https://hub.invalid/"))
        raise RevisionNotFoundError("no such revision\nat all", response=response)

    asked: list[tuple[str, str]] = []
    monkeypatch.setattr("simlm.models.fetch.snapshot_download", fetch)
    with pytest.raises(UserError) as caught:
        copy_model("some/model", "0" * 40, tmp_path / "copy")
    assert str(caught.value) == (
        f"model some/model: the Hub does not have its revision {'0' * 40} any more; name another in "
        "simlm/models/public.py or baselines/systems.py, or give a folder that holds the model"
    )
    assert asked == [("some/model", "0" * 40)]
