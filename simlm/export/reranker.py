"""The re-ranker as a folder that sentence-transformers' CrossEncoder loads."""

from pathlib import Path
from typing import Any

from simlm.export.settings import change_settings
from simlm.models.card import lasting
from simlm.models.public import copy_model

IDENTITY = "torch.nn.modules.linear.Identity"

README = """---
library_name: sentence-transformers
license: mit
tags: [sentence-transformers, cross-encoder, text-ranking, simlm]
---
# {what}

Made by a reproduction of SimLM (Wang et al., "SimLM: Pre-training with Representation Bottleneck for Dense Passage
Retrieval", ACL 2023): ELECTRA under a head with one logit.

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

Below paper scale this is a small stand-in, trained for minutes on one collection: not for production.

## Training

```json
{numbers}
```
"""


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
    card = README.format(
        what=what,
        max_length=max_length,
        titles=(
            'A passage is "title: text", and its text alone where its title is empty.'
            if titled
            else "The collection has no titles: a passage is its text."
        ),
        example="its title: a passage" if titled else "a passage",
        numbers=lasting(numbers),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
