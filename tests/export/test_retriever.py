"""An exported retriever: AutoModel and sentence-transformers give the vectors that our own encoder gives."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer

from simlm.data.inputs import Specials, batch_inputs, passage_input, query_input
from simlm.data.tokenizer_training import train_byte_level_bpe
from simlm.export.retriever import Titles, write_retriever
from simlm.finetuning.biencoder import BiEncoder
from simlm.models.shapes import load_body
from tests.export.toys import (
    PASSAGE_LENGTH,
    PASSAGES,
    QUERIES,
    QUERY_LENGTH,
    retriever_folder,
    tokenised,
    toy_collection,
)
from tests.pretraining.toys import TOKENIZER, bert, electra

Vectors = np.ndarray[Any, Any]
GIVEN: dict[Titles, Callable[[Any], Any]] = {
    "none": lambda passage: passage.text,
    "pair": lambda passage: [passage.title, passage.text],
    "joined": lambda passage: f"{passage.title} {passage.text}" if passage.title else passage.text,
}


def ours(folder: Path, store: Any) -> tuple[Vectors, Vectors]:
    """Vectors of the train queries and of the passages, as our retrieval makes them."""
    specials = Specials.of(store.tokenizer)
    encoder = BiEncoder(load_body(folder, store.tokenizer), temperature=1.0).eval()
    texts, passages = store.queries("train"), store.passages
    queries = [query_input(texts.text(i), QUERY_LENGTH, specials) for i in range(len(texts))]
    pairs = [passage_input(passages.title(i), passages.text(i), PASSAGE_LENGTH, specials) for i in range(len(passages))]
    assert max(len(ids) for ids, _ in queries) == QUERY_LENGTH and max(len(ids) for ids, _ in pairs) == PASSAGE_LENGTH
    with torch.inference_mode():
        one, other = (encoder.encode(batch_inputs(rows, specials)).numpy() for rows in (queries, pairs))
    return one, other


def by_sentence_transformers(folder: Path, passages: list[Any]) -> tuple[Vectors, Vectors]:
    model = SentenceTransformer(str(folder), device="cpu")
    assert model.max_seq_length == PASSAGE_LENGTH and model.similarity_fn_name == "dot"
    assert not any(model.prompts.values()) and model.default_prompt_name is None
    encoded = model.encode(passages, batch_size=4)
    model.max_seq_length = QUERY_LENGTH
    return model.encode([query.text for query in QUERIES["train"]]), encoded


def by_auto_model(folder: Path, passages: list[Any]) -> tuple[Vectors, Vectors]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()

    def vectors(*texts: list[str], **limit: int) -> Vectors:
        inputs = tokenizer(*texts, truncation=True, padding=True, return_tensors="pt", **limit)
        with torch.inference_mode():
            states = model(**inputs).last_hidden_state[:, 0]
        return torch.nn.functional.normalize(states, dim=-1).numpy()

    columns = [passages] if isinstance(passages[0], str) else [list(column) for column in zip(*passages, strict=True)]
    # Without a limit of the caller's, the folder's own is that of passages.
    return vectors([query.text for query in QUERIES["train"]], max_length=QUERY_LENGTH), vectors(*columns)


@pytest.mark.parametrize("model", [bert, electra])
@pytest.mark.parametrize("titles", ["none", "pair"])
def test_both_loaders_give_our_vectors(titles: Titles, model: Callable[[], Any], tmp_path: Path) -> None:
    source = retriever_folder(model(), tmp_path)
    store = tokenised(tmp_path / "store", titled=titles == "pair")
    check(source, store, titles, tmp_path / "export")


def test_byte_level_pieces_and_joined_titles(tmp_path: Path) -> None:
    texts = [GIVEN["joined"](passage) for passage in PASSAGES]
    tokenizer = train_byte_level_bpe(texts, 300, tmp_path / "tokenizer")
    source = retriever_folder(bert(vocabulary=len(tokenizer)), tmp_path, tokenizer)
    check(source, tokenised(tmp_path / "store", True, tokenizer, segments=False), "joined", tmp_path / "export")


def check(source: Path, store: Any, titles: Titles, folder: Path) -> None:
    write_retriever(source, folder, "a retriever", QUERY_LENGTH, PASSAGE_LENGTH, titles, {})
    expected = ours(source, store)
    passages = [GIVEN[titles](passage) for passage in PASSAGES]
    for loaded in (by_sentence_transformers(folder, passages), by_auto_model(folder, passages)):
        for vectors, own in zip(loaded, expected, strict=True):
            np.testing.assert_allclose(vectors, own, atol=1e-5, rtol=0)
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.ptp(expected[1], axis=0).max() > 0.1  # passages differ, so that a wrong one would show


def test_the_card_says_how_queries_and_passages_are_given(tmp_path: Path) -> None:
    source = retriever_folder(bert(), tmp_path)
    cards: dict[str, str] = {}
    for titles in GIVEN:
        folder = tmp_path / titles
        write_retriever(source, folder, "SimLM", 32, 144, titles, {"last_loss": 0.5, "training_seconds": 3})
        cards[titles] = (folder / "README.md").read_text(encoding="utf-8")
        assert cards[titles].startswith("---\nlibrary_name: sentence-transformers") and "\n# SimLM\n" in cards[titles]
        assert "cut at 32 tokens, a passage at 144" in cards[titles] and "max_seq_length = 32" in cards[titles]
        assert '"last_loss": 0.5' in cards[titles] and "training_seconds" not in cards[titles]
        assert "{" not in cards[titles].replace("{\n", "")  # every place is filled
    assert "`[title, text]`" in cards["pair"] and "token types 0 and 1" in cards["pair"]
    assert "`[title, text]`" not in cards["none"] + cards["joined"]
    assert toy_collection().has_titles


def test_equal_models_give_equal_bytes_and_name_no_place(tmp_path: Path) -> None:
    source = retriever_folder(bert(), tmp_path)
    contents = []
    for name in ("one", "other"):
        write_retriever(source, tmp_path / name, "SimLM", 32, 144, "pair", {})
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        contents.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert contents[0] == contents[1]
    assert not any(os.fsencode(tmp_path) in content for content in contents[0].values())
    config = json.loads(contents[0][Path("tokenizer_config.json")])
    assert config["model_max_length"] == 144 and TOKENIZER.model_max_length != 144
