"""What a run would stumble over is refused before it starts, each in one line."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

from simlm.commands import preflight
from simlm.commands.preflight import check_gpu, check_libraries, check_model, check_ready
from simlm.costs import needs
from simlm.costs.work import Work
from simlm.errors import UserError
from simlm.stages.models import PublicModel
from simlm.stages.plan import Planned
from tests.stages.toy import Number


def planned(config: Any = None) -> Planned:
    return Planned("a stage", Path("jobs/kind/hash"), config=config)


def test_a_library_that_a_stage_needs_and_that_is_not_there() -> None:
    check_libraries([planned(SimpleNamespace(libraries=("json",))), planned()])
    with pytest.raises(UserError, match="a stage needs the library no_such_library, which is not installed: pip"):
        check_libraries([planned(SimpleNamespace(libraries=("json", "no_such_library")))])


def test_large_trainings_need_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIMLM_GPUS", raising=False)
    monkeypatch.delenv("SIMLM_DEVICE", raising=False)
    flop = {"pretrain": 1e19}
    monkeypatch.setattr(preflight, "work_of", lambda config: Work(flop))
    stages = [planned(SimpleNamespace())]
    with pytest.raises(UserError, match="paper scale needs a GPU for a stage, and torch sees none here"):
        check_gpu(stages, "paper")
    check_gpu(stages, "small")
    check_gpu([], "paper")
    flop["pretrain"] = 1e12
    check_gpu(stages, "paper")
    flop["pretrain"] = 1e19
    monkeypatch.setenv("SIMLM_DEVICE", "cpu")
    check_gpu(stages, "paper")
    monkeypatch.setenv("SIMLM_DEVICE", "auto")
    monkeypatch.setenv("SIMLM_GPUS", "0")
    check_gpu(stages, "paper")


def refusal(kind: type[Exception]) -> Exception:
    if issubclass(kind, GatedRepoError | RepositoryNotFoundError):
        answer = httpx.Response(403, request=httpx.Request("GET", "https://hub.invalid/model"))
        return kind("no", response=answer)  # type: ignore[call-arg]
    return kind("no")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (GatedRepoError, "model some/model is gated: accept its terms"),
        (RepositoryNotFoundError, "the Hub has no such public model"),
        (OfflineModeIsEnabled, "HF_HUB_OFFLINE forbids to fetch it"),
        (httpx.ConnectError, r"the Hub cannot be reached \(ConnectError\)"),
        (TimeoutError, r"the Hub cannot be reached \(TimeoutError\)"),
    ],
)
def test_models_that_the_hub_does_not_give(
    kind: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def model_info(*arguments: Any, **named: Any) -> None:
        raise refusal(kind)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    with pytest.raises(UserError, match=said) as caught:
        check_model("some/model", "main")
    assert "\n" not in str(caught.value)


def test_a_name_that_the_hub_cannot_have() -> None:
    with pytest.raises(UserError, match="check the name"):
        check_model("no such/model/at all", "main")


def test_a_model_in_the_cache_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = "0" * 40
    folder = tmp_path / "models--some--model" / "snapshots" / revision
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached(tmp_path))
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *arguments, **named: pytest.fail("was asked"))
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
    check_ready(build, "mini", results)
    assert asked == ["some/model"] and not results.exists()
    monkeypatch.setattr(needs, "free_bytes", lambda folder: 10)
    monkeypatch.setattr(preflight, "work_of", lambda config: Work(kept_bytes=4e9, passing_bytes=1e9))
    with pytest.raises(UserError, match="the stages to do need 13.0 GB, 0.0 MB are free; free some space"):
        check_ready(build, "mini", results)
    assert not results.exists()
