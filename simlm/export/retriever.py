"""A retriever as a folder that AutoModel and sentence-transformers load."""

from pathlib import Path
from typing import Any, Literal

from simlm.export.card import UNTITLED, write_card
from simlm.export.settings import change_settings, read_settings, write_settings
from simlm.models.fetch import copy_model

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

TAGS = "sentence-similarity, dense-retrieval"
USE = """. The embedding of a text is the last layer's state at [CLS], L2-normalised, {dimensions} wide;
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


def write_retriever(
    source: Path,
    folder: Path,
    what: str,
    query_length: int,
    passage_length: int,
    titles: Titles,
    numbers: dict[str, Any],
) -> None:
    """Copy the encoder in `source` to `folder`, and say how its vectors are made.

    what: one line for the card; numbers: the figures of its training. Lengths are in tokens with the special ones (32
    and 144 at paper scale, Section 4.1). Does not need sentence-transformers, and keeps to the
    names that its older releases read too.
    """
    copy_model(str(source), "", folder)
    config = read_settings(folder / "config.json")
    # BERT's pooler has no weights here and no part in a vector; AutoModel would draw them at random and warn.
    arguments = {"add_pooling_layer": False} if config["model_type"] == "bert" else {}
    change_settings(folder / "tokenizer_config.json", model_max_length=passage_length)
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(MODULES)
    ]
    write_settings(folder / "modules.json", modules)
    write_settings(
        folder / "sentence_bert_config.json",
        {"max_seq_length": passage_length, "do_lower_case": False, "model_args": arguments},
    )
    write_settings(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": config["hidden_size"],
            "pooling_mode_cls_token": True,
            "pooling_mode_mean_tokens": False,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    )
    write_settings(folder / "2_Normalize" / "config.json", {})
    write_settings(
        folder / "config_sentence_transformers.json",
        {"prompts": {}, "default_prompt_name": None, "similarity_fn_name": "dot"},
    )
    use = USE.format(
        dimensions=config["hidden_size"],
        query_length=query_length,
        passage_length=passage_length,
        passages=PASSAGES[titles],
        example=EXAMPLES[titles],
        without_pooler=", add_pooling_layer=False" if arguments else "",
        pair_call=PAIR_CALL.format(passage_length=passage_length) if titles == "pair" else "",
    )
    write_card(folder, what, TAGS, use, numbers)
