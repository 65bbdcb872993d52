"""The card of an exported model: what all cards begin and end with."""

from pathlib import Path
from typing import Any

from simlm.models.save import lasting

CARD = """---
library_name: sentence-transformers
license: mit
tags: [sentence-transformers, {tags}, simlm]
---
# {what}

Made by a reproduction of SimLM (Wang et al., "SimLM: Pre-training with Representation Bottleneck for Dense Passage
Retrieval", ACL 2023){use}

Below paper scale this is a small stand-in, trained for minutes on one collection: not for production.

## Training

```json
{numbers}
```
"""
UNTITLED = "The collection has no titles: a passage is its text."


def write_card(folder: Path, what: str, tags: str, use: str, numbers: dict[str, Any]) -> None:
    """Write README.md: ``use`` goes on after the first words, ``numbers`` are the figures of the training."""
    card = CARD.format(what=what, tags=tags, use=use.rstrip(), numbers=lasting(numbers))
    (folder / "README.md").write_text(card, encoding="utf-8")
