"""The released implementation's values, and how near the project must come to them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForMaskedLM, ElectraConfig, ElectraForMaskedLM

HERE = Path(__file__).parent
TOLERANCE = 1e-5
PAD, UNK, CLS, SEP, MASK = range(5)

GOLDEN: dict[str, Any] = json.loads((HERE / "golden.json").read_text(encoding="utf-8"))
REPLACED_LM, BIENCODER, RERANKER = GOLDEN["rlm"], GOLDEN["biencoder"], GOLDEN["reranker"]
WHOLE_WORD_MASKS: list[dict[str, Any]] = json.loads((HERE / "whole_word_masks.json").read_text(encoding="utf-8"))
WEIGHTS = {name: torch.from_numpy(array) for name, array in np.load(HERE / "weights.npz").items()}

Text = tuple[np.ndarray, np.ndarray]
"""Token ids (length,) and token types (length,)."""


def assert_same(ours: Any, released: Any, tolerance: float = TOLERANCE) -> None:
    """Assert that no entry differs by more than ``tolerance`` times the largest released entry."""
    if isinstance(ours, Tensor):
        ours = ours.detach().double().numpy()
    ours, released = np.asarray(ours, dtype=np.float64), np.asarray(released, dtype=np.float64)
    assert ours.shape == released.shape
    assert np.abs(ours - released).max() <= tolerance * np.abs(released).max()


def tensors(batch: dict[str, Any]) -> dict[str, Tensor]:
    """The inputs of a padded batch, as a model takes them."""
    return {name: torch.tensor(batch[name]) for name in ("input_ids", "attention_mask", "token_type_ids")}


def texts(batch: dict[str, Any]) -> list[Text]:
    """The texts of a padded batch, without their padding."""
    lengths = np.array(batch["attention_mask"]).sum(axis=1)
    return [
        (np.array(ids[:length], dtype=np.int32), np.array(types[:length], dtype=np.int8))
        for ids, types, length in zip(batch["input_ids"], batch["token_type_ids"], lengths, strict=True)
    ]


def bert() -> BertForMaskedLM:
    """A model with the released weights, in training mode."""
    model = BertForMaskedLM(BertConfig(**REPLACED_LM["config"], pad_token_id=PAD))
    _load(model, "bert.")
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
    return model.train()


def generator() -> ElectraForMaskedLM:
    """The generator with the released weights, in training mode."""
    model = ElectraForMaskedLM(ElectraConfig(**REPLACED_LM["generator_config"]))
    _load(model, "gen.")
    return model.train()


def _load(model: nn.Module, prefix: str) -> None:
    weights = {name.removeprefix(prefix): tensor for name, tensor in WEIGHTS.items() if name.startswith(prefix)}
    outcome = model.load_state_dict(weights, strict=False)
    assert not outcome.missing_keys
    # transformers 4.15 stored this buffer with the weights.
    assert all(name.endswith("embeddings.position_ids") for name in outcome.unexpected_keys)
