"""What the stage that trains the bi-encoder hands to it."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from simlm.scales import on_collection, open_scale
from simlm.stages.retriever import TrainRetriever


class Caught(Exception):
    """Holds what a model was made with."""


@pytest.mark.parametrize(("collection", "rising", "scale_loss"), [("msmarco", 0, True), ("nq", 1000, False)])
def test_the_scales_settings_reach_the_model(
    collection: str, rising: int, scale_loss: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def model(encoder: object, temperature: float, **given: Any) -> None:
        raise Caught(temperature, given["rising"], given["scale_loss"])

    monkeypatch.setattr("simlm.finetuning.biencoder.BiEncoder", model)
    monkeypatch.setattr("simlm.models.load.load_body", lambda *_: SimpleNamespace(config=None))
    monkeypatch.setattr("simlm.finetuning.fit.texts_that_fit", lambda *_: 0)
    monkeypatch.setattr("simlm.stages.training.prepare_torch", lambda choices: torch.device("cpu"))
    stage = SimpleNamespace(
        settings=on_collection(open_scale("paper"), collection).retriever,
        data=SimpleNamespace(open=lambda: SimpleNamespace(tokenizer=None)),
        start=SimpleNamespace(model=None),
        teacher=None,
        choices=None,
    )
    with pytest.raises(Caught) as caught:
        TrainRetriever.run(stage)  # type: ignore[arg-type]
    assert caught.value.args == (0.02, rising, scale_loss)
