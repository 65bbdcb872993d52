"""What training a bi-encoder hands to it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from simlm.scales import on_collection, open_scale
from simlm.stages.work import retriever


class Caught(Exception):
    """Holds what a model was made with."""


@pytest.mark.parametrize(("collection", "warmup", "scale_loss"), [("msmarco", 0, True), ("nq", 1000, False)])
def test_the_scales_settings_reach_the_model(
    collection: str, warmup: int, scale_loss: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def model(encoder: object, temperature: float, **given: Any) -> None:
        raise Caught(temperature, given["temperature_warmup"], given["scale_loss"])

    monkeypatch.setattr(retriever, "BiEncoder", model)
    monkeypatch.setattr(retriever, "load_body", lambda *_: None)
    settings, nothing, here = on_collection(open_scale("paper"), collection).retriever, Any, Path()
    with pytest.raises(Caught) as caught:
        retriever.train_retriever(
            SimpleNamespace(tokenizer=None),  # type: ignore[arg-type]
            here,
            nothing,
            settings,
            None,
            0.0,
            "cpu",
            False,
            here,
            here,
            here,
        )
    assert caught.value.args == (0.02, warmup, scale_loss)
