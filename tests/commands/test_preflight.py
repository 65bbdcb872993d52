"""What a run would stumble over is refused before it starts, each in one line."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import huggingface_hub
import pytest
import requests
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from simlm.commands import preflight
from simlm.commands.hub import Refused
from simlm.commands.preflight import check_gpu, check_libraries, check_model, check_models, check_ready
from simlm.costs import needs
from simlm.costs.work import Work
from simlm.data.catalogue import CATALOGUE, NQ, TITLELESS, fetched
from simlm.data.downloads import IrdsFolder
from simlm.data.released_archive import ARCHIVE
from simlm.errors import UserError
from simlm.models.public import revision_of
from simlm.stages.data import Prepare
from simlm.stages.models import PublicModel, public_model
from simlm.workflow.plan import Planned
from simlm.workflow.resources import Choices
from tests.data import irds_home
from tests.workflow.toy import Number


def planned(config: Any = None) -> Planned:
    return Planned("a stage", Path("jobs/kind/hash"), config=config)


def test_a_library_that_a_stage_needs_and_that_is_not_there() -> None:
    check_libraries([planned(SimpleNamespace(libraries=("json",))), planned()])
    with pytest.raises(UserError, match="a stage needs the library no_such_library, which is not installed: pip"):
        check_libraries([planned(SimpleNamespace(libraries=("json", "no_such_library")))])


def test_large_trainings_need_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    flop = {"pretrain": 1e19}
    monkeypatch.setattr(preflight, "work_of", lambda config: Work(flop))
    stages = [planned(SimpleNamespace())]
    with pytest.raises(UserError, match="paper scale needs a GPU for a stage, and torch sees none here"):
        check_gpu(stages, "paper", Choices())
    check_gpu(stages, "small", Choices())
    check_gpu([], "paper", Choices())
    flop["pretrain"] = 1e12
    check_gpu(stages, "paper", Choices())
    flop["pretrain"] = 1e19
    check_gpu(stages, "paper", Choices("cpu"))
    check_gpu(stages, "paper", Choices(gpus=("0",)))


def refusal(kind: type[Exception]) -> Exception:
    if issubclass(kind, HfHubHTTPError):
        answer = httpx.Response(403, request=httpx.Request("GET", "https://hub.invalid/model"))
        return kind("no", response=answer)  # type: ignore[call-arg]
    return kind("no")


@pytest.mark.parametrize(
    ("kind", "said", "refused"),
    [
        (GatedRepoError, "model some/model is gated: accept its terms", True),
        (RepositoryNotFoundError, "the Hub has no such public model", True),
        (RemoteEntryNotFoundError, "there is no config.json in it", True),
        (OfflineModeIsEnabled, "HF_HUB_OFFLINE forbids to fetch it", True),
        (HfHubHTTPError, "the Hub answered with status 403", False),
        (httpx.ConnectError, r"the Hub cannot be reached \(ConnectError\)", False),
        (TimeoutError, r"the Hub cannot be reached \(TimeoutError\)", False),
    ],
)
def test_models_that_the_hub_does_not_give(
    kind: type[Exception], said: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(url: str, **named: Any) -> None:
        assert url.endswith("/some/model/resolve/main/config.json")
        raise refusal(kind)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", asked)
    with pytest.raises(UserError, match=said) as caught:
        check_model("some/model", "main")
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, Refused) is refused


def test_a_pinned_commit_that_the_hub_no_longer_has_says_where_it_is_pinned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = revision_of("roberta-base")

    def asked(url: str, **named: Any) -> None:
        assert url.endswith(f"/roberta-base/resolve/{commit}/config.json")
        raise refusal(RevisionNotFoundError)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", asked)
    with pytest.raises(UserError) as caught:
        check_models([planned(public_model("roberta-base"))])
    assert str(caught.value) == (
        f"model roberta-base: the Hub does not have its revision {commit} any more; name another in "
        "simlm/models/public.py or baselines/systems.py, which has its source, or give its folder"
    )


def test_what_is_to_be_fetched_elsewhere_is_the_pinned_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url, **named: raising(OfflineModeIsEnabled))
    with pytest.raises(UserError, match=f"`hf download some/model --revision {'0' * 40}` and give its folder"):
        check_model("some/model", "0" * 40)
    with pytest.raises(UserError, match="`hf download some/model` and give its folder"):
        check_model("some/model", "main")


def raising(kind: type[Exception]) -> None:
    raise refusal(kind)


def test_a_name_that_the_hub_cannot_have() -> None:
    with pytest.raises(UserError, match="check the name"):
        check_model("no such/model/at all", "main")


def test_a_model_in_the_cache_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = "0" * 40
    folder = tmp_path / "models--some--model" / "snapshots" / revision
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached(tmp_path))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url, **named: pytest.fail("was asked"))
    check_model("some/model", revision)


def cached(folder: Path) -> Callable[..., Any]:
    whole = huggingface_hub.try_to_load_from_cache
    return lambda *arguments, **named: whole(*arguments, cache_dir=folder, **named)


def test_only_what_is_to_do_counts_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(preflight, "check_model", lambda name, revision: asked.append(name))

    def build(submit: Callable[[Any, str], object]) -> None:
        submit(PublicModel.C(name="some/model", revision="main", digest=""), "public")
        submit(PublicModel.C(name=str(tmp_path), revision="main", digest="0"), "local")
        submit(Number.C(value=3), "number")

    results = tmp_path / "results"
    check_ready(build, "mini", results, Choices())
    assert asked == ["some/model"] and not results.exists()
    monkeypatch.setattr(needs, "free_bytes", lambda folder: 10)
    monkeypatch.setattr(preflight, "work_of", lambda config: Work(disk_bytes=4e9, passing_bytes=1e9))
    with pytest.raises(UserError, match="the stages to do need 13.0 GB, 0.0 MB are free; free some space"):
        check_ready(build, "mini", results, Choices())
    assert not results.exists()


def prepared(name: str) -> Callable[[Callable[[Any, str], object]], None]:
    return lambda submit: submit(Prepare.C(collection=name, vocabulary=100, tokenizer=""), "collection") and None


@pytest.fixture
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No collection was fetched, and no server answers; the results folder of a command."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "irds"))

    def unreachable(url: str, **named: Any) -> None:
        raise requests.ConnectionError(f"no route to {url}") if "huggingface" not in url else refusal(TimeoutError)

    monkeypatch.setattr(requests, "head", unreachable)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", unreachable)
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("msmarco", r"data set intfloat/simlm-msmarco: the Hub cannot be reached \(TimeoutError\); check the network"),
        ("msmarco-titleless", r"msmarco-titleless has to be downloaded, and msmarco\..*\(ConnectionError\); check the"),
        ("nq", r"collection nq has to be downloaded, and dl\.fbaipublicfiles\.com cannot be reached"),
    ],
)
def test_a_collection_that_cannot_be_downloaded(name: str, said: str, nothing_here: Path, tmp_path: Path) -> None:
    marker = tmp_path / "irds" / (CATALOGUE[name].download_folder or "x") / "irds_version.txt"
    marker.parent.mkdir(parents=True)
    marker.touch()
    with pytest.raises(UserError, match=said) as caught:
        check_ready(prepared(name), "mini", nothing_here, Choices())
    assert "\n" not in str(caught.value) and not nothing_here.exists() and not (tmp_path / "hub").exists()


def test_what_is_fetched_or_begun_or_embedded_needs_no_network(nothing_here: Path, tmp_path: Path) -> None:
    check_ready(prepared("insuranceqa"), "mini", nothing_here, Choices())
    irds_home.msmarco(tmp_path / "irds")
    check_ready(prepared("msmarco-titleless"), "mini", nothing_here, Choices())
    half = tmp_path / "hub" / "datasets--intfloat--simlm-msmarco" / "blobs" / "abc.incomplete"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"123")
    check_ready(prepared("msmarco"), "mini", nothing_here, Choices())


def test_a_prepared_collection_is_not_asked_for(nothing_here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "read_manifest", lambda job: {})
    check_ready(prepared("nq"), "mini", nothing_here, Choices())


def test_a_server_that_answers_anything_is_there(nothing_here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(requests, "head", lambda url, **named: asked.append(url))
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda url, **named: asked.append(url))
    for name in (name for name in CATALOGUE if fetched(name)):
        check_ready(prepared(name), "mini", nothing_here, Choices())
    assert [url.rpartition("/")[2] for url in asked] == [
        f"{ARCHIVE}.zip",
        "collectionandqueries.tar.gz",
        "psgs_w100.tsv.gz",
    ]


def test_ir_datasets_fetches_from_the_address_that_is_asked_and_takes_a_local_copy(tmp_path: Path) -> None:
    script = (
        "from ir_datasets.util import DownloadConfig as D\n"
        "for name, key in (('msmarco-passage', 'collectionandqueries'), ('dpr-w100', 'docs')):\n"
        "    found = D.context(name)\n"
        "    print(found.get_download_path() / found.contents()[key]['expected_md5'], found.contents()[key]['url'])"
    )
    environment = os.environ | {"IR_DATASETS_HOME": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    downloads = [one.download for one in (TITLELESS, NQ) if isinstance(one.download, IrdsFolder)]
    for line, download in zip(ran.stdout.splitlines(), downloads, strict=True):
        path, url = line.split()
        assert url == download.url()
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_bytes(b"12")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IR_DATASETS_HOME", str(tmp_path))
        assert [list(one.on_disk().values()) for one in downloads] == [[2], [2]]
