"""Where all-MiniLM-L6-v2 is found, what of it is refused, and what mini's re-ranker starts from without it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from simlm.errors import UserError
from simlm.scales import minilm, open_scale
from simlm.scales.minilm import MINILM, REPOSITORY, SHA256, minilm_folder
from simlm.stages.pipeline import Pipeline
from simlm.workflow.plan import plan
from tests.minilm import install, without
from tests.pretraining.toys import TOKENIZER


def test_it_is_found_in_its_package_which_never_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = install(tmp_path, monkeypatch)
    assert minilm_folder() == model and open_scale("mini").reranker_start == MINILM
    (model / "tokenizer.json").unlink()
    without(monkeypatch, tmp_path / "hub")
    assert minilm_folder() is None


def test_it_is_found_in_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, cache = install(tmp_path / "site", monkeypatch), tmp_path / "hub"
    without(monkeypatch, cache)
    assert minilm_folder() is None
    repository = cache / f"models--{REPOSITORY.replace('/', '--')}"
    snapshot = repository / "snapshots" / "abc"
    shutil.copytree(model, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    assert minilm_folder() == snapshot
    for name in SHA256:
        (snapshot / name).rename(snapshot / "elsewhere")
        assert minilm_folder() is None, name
        (snapshot / "elsewhere").rename(snapshot / name)


@pytest.mark.parametrize("name", SHA256)
def test_other_files_are_refused_in_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = install(tmp_path, monkeypatch)
    (model / name).write_bytes((model / name).read_bytes() + b" ")
    with pytest.raises(UserError, match=f"{name}: not the file of {REPOSITORY}.*install {minilm.PACKAGE} anew"):
        open_scale("mini")


def test_without_it_the_re_ranker_starts_from_simlm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, tmp_path)
    assert open_scale("mini").reranker_start == "simlm"
    assert (open_scale("paper").reranker_start, open_scale("small").reranker_start) == ("electra", "base")


def test_without_it_nothing_of_small_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, tmp_path)
    pipeline = Pipeline(open_scale("small"), 0, lambda stage, name: None)
    for asked in ("data", "base", "simlm"):
        with pytest.raises(UserError, match=r"is neither installed as .* nor in the Hub's cache: pip install .*minilm"):
            getattr(pipeline, asked)


def test_small_is_made_of_it_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = []
    for place in ("one", "other"):
        with monkeypatch.context() as patch:
            model = install(tmp_path / place, patch)
            made = plan(lambda submit: Pipeline(open_scale("small"), 0, submit).simlm, tmp_path / "results")[0]
        stages = {stage.name: stage for stage in made}
        jobs.append({name: stage.job.name for name, stage in stages.items()})
    assert jobs[0] == jobs[1]
    inputs = {name: {key: one.name for key, one in stage.inputs.items()} for name, stage in stages.items()}
    assert inputs["SimLM pre-training"]["start"] == "base with an MLM head"
    assert inputs["SimLM pre-training"]["generator"] == "generator (MLM)"
    assert inputs["base with an MLM head"]["start"] == "base with a fresh MLM head"
    assert inputs["base with a fresh MLM head"]["start"] == inputs["first 2 layers of base"]["start"] == "base"
    assert inputs["generator with a fresh MLM head"]["start"] == "first 2 layers of base"
    data: Any = stages["collection"].config
    base: Any = stages["base"].config
    assert base.copied_from == data.tokenizer_location == str(model)
    assert data.tokenizer_for(None).get_vocab() == TOKENIZER.get_vocab()
