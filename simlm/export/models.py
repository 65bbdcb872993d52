"""Models in folders that sentence-transformers and transformers load, with a card that says how they are used."""

import json
from pathlib import Path
from typing import Any, Literal

from simlm.models.fetch import copy_model
from simlm.models.save import lasting

CARD = """---
library_name: sentence-transformers
tags: [sentence-transformers, {tags}, simlm]
---
# {what}

Made by a reproduction of SimLM (Wang et al., "SimLM: Pre-training with Representation Bottleneck for Dense Passage
Retrieval", ACL 2023){use}

Below paper scale this is a small stand-in, trained for minutes on one collection: not for production. Weights
that began as a public model's stand under that model's licence.

## Training

```json
{numbers}
```
"""
UNTITLED = "The collection has no titles: a passage is its text."
Titles = Literal["none", "pair", "joined"]
"""How a passage's title was given in training: there was none, as a text of its own, or before the passage's text."""

PASSAGES: dict[Titles, str] = {
    "none": UNTITLED,
    "pair": (
        "Passages were trained as (title, text) pairs with token types 0 and 1. Give each as the pair `[title, text]`, "
        'also where its title is empty (`["", text]`); a list of such pairs is a list of passages.'
    ),
    "joined": "A passage is its title, a space and its text, in one; where its title is empty, its text alone.",
}
EXAMPLES: dict[Titles, str] = {
    "none": '"a passage"',
    "pair": '["its title", "a passage"]',
    "joined": '"title a passage"',
}

MODULES = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))

RETRIEVER_TAGS = "sentence-similarity, dense-retrieval"
RETRIEVER_USE = """. The embedding of a text is the last layer's state at [CLS], L2-normalised, {dimensions} wide;
similarity is the inner product, which equals the cosine. Queries and passages share the encoder; there are no prompts.

- A query is cut at {query_length} tokens, a passage at {passage_length}, [CLS] and [SEP] counted. The folder's own
  limit is the passages': lower it while encoding queries.
- {passages}

With sentence-transformers:

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("this folder")
passages = model.encode([{example}])
model.max_seq_length = {query_length}
queries = model.encode(["a query"])
scores = model.similarity(queries, passages)
```

With transformers alone:

```python
import torch
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("this folder")
model = AutoModel.from_pretrained("this folder"{without_pooler}).eval()
inputs = tokenizer(["a query"], truncation=True, max_length={query_length}, padding=True, return_tensors="pt")
with torch.inference_mode():
    queries = torch.nn.functional.normalize(model(**inputs).last_hidden_state[:, 0], dim=-1)
```

{pair_call}"""
"""How the card goes on after its first words."""
PAIR_CALL = "For passages, give `tokenizer(titles, texts, ...)` with `max_length={passage_length}`."
IDENTITY = "torch.nn.modules.linear.Identity"

RERANKER_TAGS = "cross-encoder, text-ranking"
RERANKER_USE = """: ELECTRA under a head with one logit.

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


def write_retriever(
    source: Path,
    folder: Path,
    what: str,
    query_length: int,
    passage_length: int,
    titles: Titles,
    numbers: dict[str, Any],
) -> None:
    """Copy a retriever, and say how its vectors are made.

    Does not need sentence-transformers, and keeps to the names that its older releases read too.

    Args:
        source: The folder of the encoder.
        folder: Where it goes.
        what: One line for the card.
        query_length: Tokens of a query with the special ones (32 at paper scale, Section 4.1).
        passage_length: Tokens of a passage likewise (144 at paper scale).
        titles: How a passage's title was given in training.
        numbers: The figures of its training.
    """
    copy_model(str(source), "", folder)
    config = _read(folder / "config.json")
    # BERT's pooler has no weights here and no part in a vector; AutoModel would draw them at random and warn.
    arguments = {"add_pooling_layer": False} if config["model_type"] == "bert" else {}
    _change(folder / "tokenizer_config.json", model_max_length=passage_length)
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(MODULES)
    ]
    _write(folder / "modules.json", modules)
    _write(
        folder / "sentence_bert_config.json",
        {"max_seq_length": passage_length, "do_lower_case": False, "model_args": arguments},
    )
    _write(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": config["hidden_size"],
            "pooling_mode_cls_token": True,
            "pooling_mode_mean_tokens": False,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    )
    _write(folder / "2_Normalize" / "config.json", {})
    _write(
        folder / "config_sentence_transformers.json",
        {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "dot"},
    )
    use = RETRIEVER_USE.format(
        dimensions=config["hidden_size"],
        query_length=query_length,
        passage_length=passage_length,
        passages=PASSAGES[titles],
        example=EXAMPLES[titles],
        without_pooler=", add_pooling_layer=False" if arguments else "",
        pair_call=PAIR_CALL.format(passage_length=passage_length) if titles == "pair" else "",
    )
    _write_card(folder, what, RETRIEVER_TAGS, use, numbers)


def write_reranker(
    source: Path, folder: Path, what: str, max_length: int, titled: bool, numbers: dict[str, Any]
) -> None:
    """Copy a re-ranker, and say how its scores are made.

    Args:
        source, folder, what, numbers: As in `write_retriever`.
        max_length: Tokens of a pair with the special ones (192 at paper scale, Table 13).
        titled: Whether the collection has titles.
    """
    copy_model(str(source), "", folder)
    _change(folder / "tokenizer_config.json", model_max_length=max_length)
    _change(folder / "config.json", sentence_transformers={"activation_fn": IDENTITY})
    use = RERANKER_USE.format(
        max_length=max_length,
        titles=('A passage is "title: text", and its text alone where its title is empty.' if titled else UNTITLED),
        example="its title: a passage" if titled else "a passage",
    )
    _write_card(folder, what, RERANKER_TAGS, use, numbers)


def _write_card(folder: Path, what: str, tags: str, use: str, numbers: dict[str, Any]) -> None:
    """Write README.md; ``use`` goes on after its first words, ``numbers`` are the figures of the training."""
    card = CARD.format(what=what, tags=tags, use=use.rstrip(), numbers=lasting(numbers))
    (folder / "README.md").write_text(card, encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file that a stage wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _write(path: Path, content: Any) -> None:
    """Write JSON, in a folder that may be new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _change(path: Path, **changes: Any) -> None:
    """Add to a file's JSON object, or change it."""
    _write(path, _read(path) | changes)
