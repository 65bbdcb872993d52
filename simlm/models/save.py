"""Save a model with its tokenizer and a card."""

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel
from transformers import PreTrainedTokenizerFast as Tokenizer

ATTEMPT_FIGURES = ("tokens", "tokens_per_second", "training_seconds", "resumed_from_step")

TEMPLATE = """---
library_name: transformers
tags: [dense-retrieval, simlm]
---
# {what}

A {kind} with {layers} layers, {hidden} wide, made by a reproduction of SimLM (Wang et al., "SimLM: Pre-training with
Representation Bottleneck for Dense Passage Retrieval", ACL 2023).

Use: `AutoModel.from_pretrained(folder)`; the embedding of a text is the last layer's state at [CLS], L2-normalised;
similarity is the inner product. {casing}

Not meant for production: below paper scale it is a small stand-in, trained for minutes on one collection.

## Training
```json
{numbers}
```
"""


def save_model(model: PreTrainedModel, tokenizer: Tokenizer, folder: Path, what: str, numbers: dict[str, Any]) -> None:
    """Save weights as safetensors, with the tokenizer and a card, so that Auto classes load the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(model_card(model, tokenizer, what, numbers), encoding="utf-8")


def model_card(model: PreTrainedModel, tokenizer: Tokenizer, what: str, numbers: dict[str, Any]) -> str:
    """Return a card in the Hub's form: what the model is, how to use it, and the figures of its training.

    Only `lasting` figures: equal models have equal cards.
    """
    config = model.config
    return TEMPLATE.format(
        what=what,
        kind=type(model).__name__,
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        casing=_casing(tokenizer),
        numbers=lasting(numbers),
    )


def lasting(numbers: dict[str, Any]) -> str:
    """Return a training's figures as JSON, without those of the attempt that ended it."""
    kept = {name: value for name, value in numbers.items() if name not in ATTEMPT_FIGURES}
    return json.dumps(kept, indent=1, sort_keys=True)


def _casing(tokenizer: Tokenizer) -> str:
    normalizer = tokenizer.backend_tokenizer.normalizer
    if normalizer is not None and normalizer.normalize_str("A") == "a":
        return "Texts are lower-cased by the tokenizer in this folder."
    return "The tokenizer in this folder keeps the case of texts."
