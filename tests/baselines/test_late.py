"""Late interaction: vectors against a plain BERT, MaxSim against loops in float64."""

import string
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, BertModel

from baselines import late
from baselines.late import TokenIndex, open_encoder, search_tokens, write_index
from simlm.errors import UserError
from tests.baselines.repositories import colbert

TEXTS = ["text 1", "title 2: text 3456789", "query", "text 1", "9 8 7 6 5"]
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
    index = write_index(encoder, TEXTS, len(TEXTS), tmp_path / "index")
    for number, text in enumerate(TEXTS):
        expected = plain(tmp_path / "model", text, "[unused1]", expanded=False)
        vectors, own = index.block(number, number + 1)
        assert own.all() and vectors.shape[1] == len(expected) == index.lengths[number]
        np.testing.assert_allclose(vectors[0], expected, atol=2e-3)  # kept in 16 bit
    (query,) = encoder.encode_query(["query 1"], convert_to_numpy=True)
    np.testing.assert_allclose(query, plain(tmp_path / "model", "query 1", "[unused0]", expanded=True), atol=1e-5)
    bytes_ = sum(path.stat().st_size for path in (tmp_path / "index").iterdir())
    assert bytes_ == index.lengths.sum() * 8 * 2 + 4 * len(TEXTS)


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
    monkeypatch.setattr(late, "BLOCK", block)
    monkeypatch.setattr(late, "PRODUCTS", products)
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
