"""Late interaction: vectors against a plain BERT, MaxSim against loops in float64."""

import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, BertModel

from baselines import multi_vector
from baselines.multi_vector import TokenIndex, open_encoder, search_tokens, write_index
from simlm.errors import UserError
from tests.baselines.repositories import colbert

TEXTS = ["text 1", "title 2: text 3456789", "query", "text 1", "9 8 7 6 5"]
PASSAGES = [(f"p{number}", text) for number, text in enumerate(TEXTS)]
CPU = torch.device("cpu")


def plain(folder: Path, text: str, marker: str, expanded: bool) -> np.ndarray:
    """ColBERT's vectors of a text, from its paper: marker behind [CLS], queries filled up with unseen [MASK]."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    model = BertModel(BertModel.config_class.from_pretrained(folder)).eval()
    body = {name.removeprefix("bert."): value for name, value in weights.items() if name.startswith("bert.")}
    model.load_state_dict(body, strict=False)
    pieces = tokenizer(text, add_special_tokens=False)["input_ids"]
    ids = [tokenizer.cls_token_id, tokenizer.convert_tokens_to_ids(marker), *pieces, tokenizer.sep_token_id]
    seen = [1] * len(ids)
    if expanded:
        ids, seen = (ids + [tokenizer.mask_token_id] * 32)[:32], (seen + [0] * 32)[:32]
    with torch.inference_mode():
        states = model(torch.tensor([ids]), attention_mask=torch.tensor([seen])).last_hidden_state[0]
    vectors = states.double().numpy() @ weights["linear.weight"].double().numpy().T
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    punctuation = {*tokenizer.convert_tokens_to_ids(list(string.punctuation))} - {tokenizer.unk_token_id}
    return vectors if expanded else vectors[[one not in punctuation for one in ids]]


def test_vectors_are_those_of_the_paper(tmp_path: Path) -> None:
    colbert(tmp_path / "model")
    encoder = open_encoder(tmp_path / "model", CPU)
    index = write_index(encoder, PASSAGES, len(TEXTS), tmp_path / "index")
    for number, text in enumerate(TEXTS):
        expected = plain(tmp_path / "model", text, "[unused1]", expanded=False)
        vectors, own = index.block(number, number + 1)
        assert own.all() and vectors.shape[1] == len(expected) == index.lengths[number]
        np.testing.assert_allclose(vectors[0], expected, atol=2e-3)  # kept in 16 bit
    (query,) = encoder.encode_query(["query 1"], convert_to_numpy=True)
    np.testing.assert_allclose(query, plain(tmp_path / "model", "query 1", "[unused0]", expanded=True), atol=1e-5)
    bytes_ = sum(path.stat().st_size for path in (tmp_path / "index").iterdir())
    assert bytes_ == index.lengths.sum() * 8 * 2 + 4 * len(TEXTS)


def test_vectors_that_are_no_numbers_are_one_line(tmp_path: Path) -> None:
    colbert(tmp_path / "model")
    encoder = open_encoder(tmp_path / "model", CPU)
    index = write_index(encoder, PASSAGES, len(TEXTS), tmp_path / "index")
    queries = encoder.encode_query(["query 1", "query 2"], convert_to_numpy=True)
    queries[1][0, 0] = np.nan
    with pytest.raises(UserError, match="NaN or infinite vectors for query number 1: check its checkpoint"):
        search_tokens(queries, index, 2)
    with torch.no_grad():
        next(encoder.parameters()).fill_(torch.inf)
    with pytest.raises(UserError, match="NaN or infinite vectors for passage 'p0': check its checkpoint"):
        write_index(encoder, PASSAGES, len(TEXTS), tmp_path / "other")


class Interrupted(Exception):
    """Stands for whatever ends a process."""


class Ending:
    """An encoder that ends instead of encoding its block of number ``ends``; remembers the texts that it encoded."""

    def __init__(self, encoder: Any, ends: int | None = None) -> None:
        self.encoder, self.ends, self.blocks = encoder, ends, list[list[str]]()

    def encode_document(self, texts: list[str], **options: Any) -> list[np.ndarray]:
        if len(self.blocks) == self.ends:
            raise Interrupted
        self.blocks.append(texts)
        found: list[np.ndarray] = self.encoder.encode_document(texts, **options)
        return found


@pytest.mark.parametrize("ends", [0, 1, 2, 3])
def test_an_interrupted_index_goes_on_with_the_first_missing_block(
    ends: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multi_vector, "TEXTS", 2)
    colbert(tmp_path / "model")
    encoder = open_encoder(tmp_path / "model", CPU)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    index = write_index(encoder, PASSAGES, len(TEXTS), whole)
    blocks = [TEXTS[:2], TEXTS[2:4], TEXTS[4:]]
    first = Ending(encoder, ends)
    if ends < len(blocks):
        with pytest.raises(Interrupted):
            write_index(first, PASSAGES, len(TEXTS), cut)
        for path in cut.iterdir():  # what a process left that was killed while it wrote
            path.write_bytes(path.read_bytes() + b"\x01\x02\x03")
    else:  # killed when all was encoded
        write_index(first, PASSAGES, len(TEXTS), cut)
    second = Ending(encoder)
    resumed = write_index(second, iter(PASSAGES), len(TEXTS), cut)
    assert (first.blocks, second.blocks) == (blocks[:ends], blocks[ends:])
    assert {path.name: path.read_bytes() for path in cut.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }
    assert np.array_equal(resumed.vectors, index.vectors) and np.array_equal(resumed.ends, index.ends)


@pytest.mark.parametrize("lost", ["vectors.bin", "lengths.bin"])
@pytest.mark.parametrize("how", ["gone", "cut", "flipped"])
def test_an_index_whose_files_are_damaged_is_written_anew(
    lost: str, how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Gone, as when a stage is killed after it has moved its index and before it is done."""
    colbert(tmp_path / "model")
    encoder = open_encoder(tmp_path / "model", CPU)
    write_index(encoder, PASSAGES, len(TEXTS), tmp_path / "index")
    path = tmp_path / "index" / lost
    expected = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(expected[:-2] if how == "cut" else expected[:-1] + bytes([expected[-1] ^ 1]))
    again = Ending(encoder)
    write_index(again, PASSAGES, len(TEXTS), tmp_path / "index")
    assert again.blocks == [TEXTS] and path.read_bytes() == expected
    assert "the index is made again" in capsys.readouterr().err


def random_index(folder: Path, lengths: list[int]) -> TokenIndex:
    rng = np.random.default_rng(0)
    folder.mkdir()
    np.array(lengths, dtype=np.int32).tofile(folder / "lengths.bin")
    rng.integers(-3, 4, (sum(lengths), 4)).astype(np.float16).tofile(folder / "vectors.bin")  # sums are exact
    return TokenIndex(folder, 4)


@pytest.mark.parametrize(("block", "products"), [(8_192, 1 << 26), (7, 50), (1, 1)])
def test_maxsim_is_that_of_loops_with_ties_by_index(
    block: int, products: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multi_vector, "BLOCK", block)
    monkeypatch.setattr(multi_vector, "PRODUCTS", products)
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 6, 40).tolist()
    index = random_index(tmp_path / "index", lengths)
    queries = [rng.integers(-3, 4, (size, 4)).astype(np.float32) for size in (1, 5, 3)]
    scores, indices = search_tokens(queries, index, 12)
    for row, query in enumerate(queries):
        exact = []
        for passage in range(len(lengths)):
            own = index.vectors[sum(lengths[:passage]) : sum(lengths[: passage + 1])].astype(np.float64)
            exact.append(sum(max(float(one @ other) for other in own) for one in query.astype(np.float64)))
        expected = sorted(range(len(lengths)), key=lambda passage: (-exact[passage], passage))[:12]
        assert indices[row].tolist() == expected
        assert scores[row].tolist() == [exact[passage] for passage in expected]


def test_what_is_no_such_checkpoint_is_refused(tmp_path: Path) -> None:
    colbert(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match="not a multi-vector checkpoint"):
        open_encoder(tmp_path / "model", CPU)
