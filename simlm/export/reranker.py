"""The re-ranker as a folder that sentence-transformers' CrossEncoder loads."""

from pathlib import Path
from typing import Any

from simlm.export.card import UNTITLED, write_card
from simlm.export.settings import change_settings
from simlm.models.fetch import copy_model

IDENTITY = "torch.nn.modules.linear.Identity"

TAGS = "cross-encoder, text-ranking"
USE = """: ELECTRA under a head with one logit.

- Its input is the pair (query, passage), cut at {max_length} tokens with the special ones, the longer part first.
- {titles}
- The score is the raw logit: this folder sets the activation to `torch.nn.Identity`, where a cross-encoder with one
  logit has a sigmoid by default. Scores of different queries are not comparable.

```python
from sentence_transformers import CrossEncoder

model = CrossEncoder("this folder")
scores = model.predict([("a query", "{example}")])
```

`AutoModelForSequenceClassification.from_pretrained("this folder")` gives the same logit.
"""
"""How the card goes on after its first words."""


def write_reranker(
    source: Path, folder: Path, what: str, max_length: int, titled: bool, numbers: dict[str, Any]
) -> None:
    """Copy the re-ranker in `source` to `folder`, and say how its scores are made.

    max_length: tokens of a pair with the special ones (192 at paper scale, Table 13); titled: whether the collection
    has titles. The rest as in `write_retriever`.
    """
    copy_model(str(source), "", folder)
    change_settings(folder / "tokenizer_config.json", model_max_length=max_length)
    change_settings(folder / "config.json", sentence_transformers={"activation_fn": IDENTITY})
    use = USE.format(
        max_length=max_length,
        titles=('A passage is "title: text", and its text alone where its title is empty.' if titled else UNTITLED),
        example="its title: a passage" if titled else "a passage",
    )
    write_card(folder, what, TAGS, use, numbers)
