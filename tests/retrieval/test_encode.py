from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from simlm.data.inputs import Specials
from simlm.errors import UserError
from simlm.packed.layouts import Inference, length_batches
from simlm.packed.texts import Padded
from simlm.retrieval.embeddings import Embeddings
from simlm.retrieval.encode import encode_texts
from tests.damaging import empty, flip, truncate

SPECIALS = Specials(cls=1, sep=2, pad=0, unk=3, mask=4)


@dataclass
class Store:
    """The part of a TokenStore that encoding reads."""

    texts: list[np.ndarray]
    titles: list[np.ndarray] | None = None
    folder: Path = field(default=Path("store"))

    @property
    def ids(self) -> list[str]:
        return [f"p{number}" for number in range(len(self.texts))]

    @property
    def has_titles(self) -> bool:
        return self.titles is not None

    @property
    def lengths(self) -> np.ndarray:
        titles = self.titles or [np.empty(0)] * len(self.texts)
        return np.array([len(a) + len(b) for a, b in zip(titles, self.texts, strict=True)], dtype=np.int32)

    def __len__(self) -> int:
        return len(self.texts)

    def title(self, index: int) -> np.ndarray | None:
        return self.titles[index] if self.titles else None

    def text(self, index: int) -> np.ndarray:
        return self.texts[index]


def over(encoder: Callable[..., Tensor]) -> Inference:
    """An encoder of padded batches on the CPU."""
    return Inference(encoder, Padded(SPECIALS), torch.device("cpu"))


def random_store(count: int, titles: bool) -> Store:
    random = np.random.default_rng(7)
    parts = [random.integers(5, 99, random.integers(0, 30)).astype(np.int32) for _ in range(2 * count)]
    return Store(parts[:count], parts[count:] if titles else None)


class Encoder:
    """Sums over the visible ids and over the token types; remembers the shapes it was given."""

    def __init__(self) -> None:
        self.shapes: list[torch.Size] = []

    def __call__(self, inputs: dict[str, Tensor]) -> Tensor:
        assert not torch.is_grad_enabled()
        self.shapes.append(inputs["input_ids"].shape)
        visible = inputs["input_ids"] * inputs["attention_mask"]
        return torch.stack([visible.sum(1), inputs["token_type_ids"].sum(1)], dim=1).float()


@pytest.mark.parametrize("titles", [False, True])
def test_vectors_stand_in_the_stores_order(tmp_path: Path, titles: bool) -> None:
    store, encoder = random_store(50, titles), Encoder()
    embeddings = encode_texts(over(encoder), store, SPECIALS, tmp_path, 16, batch_tokens=64, shard_size=17)
    vectors = embeddings.read()
    assert len(embeddings) == 50 and embeddings.dim == 2 and vectors.dtype == np.float32
    assert [start for start, _ in embeddings.shards()] == [0, 17, 34]
    assert all(rows * length <= 64 or rows == 1 for rows, length in encoder.shapes)
    if not titles:
        expected = [1 + text[:14].sum() + 2 for text in store.texts]
        assert vectors[:, 0].tolist() == expected
        assert not vectors[:, 1].any()
    else:
        assert vectors[:, 1].any()


def lose_seal(path: Path) -> None:
    """As when a process is killed between a file and its seal."""
    (seal,) = path.parent.parent.rglob(f"{path.parent.name}.seals/{path.name}")
    seal.unlink()


@pytest.mark.parametrize("damage", [None, flip, empty, truncate, lose_seal])
def test_a_second_call_continues_with_the_first_missing_or_damaged_shard(
    tmp_path: Path, damage: Callable[[Path], None] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    store = random_store(50, False)
    whole = encode_texts(over(Encoder()), store, SPECIALS, tmp_path / "whole", 16, 64, 17).read()
    calls = 0

    def dies(inputs: dict[str, Tensor]) -> Tensor:
        nonlocal calls
        calls += 1
        if (tmp_path / "cut" / "shard-00000.npy").exists():
            raise KeyboardInterrupt
        return Encoder()(inputs)

    with pytest.raises(KeyboardInterrupt):
        encode_texts(over(dies), store, SPECIALS, tmp_path / "cut", 16, 64, 17)
    with pytest.raises(UserError):
        Embeddings.open(tmp_path / "cut")
    first = tmp_path / "cut" / "shard-00000.npy"
    if damage is not None:
        damage(first)
    encoder = Encoder()
    resumed = encode_texts(over(encoder), store, SPECIALS, tmp_path / "cut", 16, 64, 17)
    np.testing.assert_array_equal(resumed.read(), whole)
    assert sum(shape[0] for shape in encoder.shapes) == (33 if damage is None else 50)
    assert (f"{first} is damaged or unfinished: it is made again" in capsys.readouterr().err) == (damage is not None)
    assert not list((tmp_path / "cut").glob(".*"))


def test_nan_and_an_empty_store(tmp_path: Path) -> None:
    def one_is_none(inputs: dict[str, Tensor]) -> Tensor:
        vectors = Encoder()(inputs)
        return vectors.where(inputs["input_ids"][:, 1:2] != 77, torch.nan)

    texts = [np.array(text, dtype=np.int32) for text in ([5, 6], [7, 8], [77], [9])]
    with pytest.raises(UserError, match=r"vector with NaN or infinity for 'p2' of store"):
        encode_texts(over(one_is_none), Store(texts), SPECIALS, tmp_path, 16)
    with pytest.raises(UserError, match="no text"):
        encode_texts(over(Encoder()), Store([]), SPECIALS, tmp_path, 16)


@given(st.lists(st.integers(2, 200), min_size=1, max_size=80), st.integers(1, 600))
def test_batches_hold_every_text_once_and_few_tokens(lengths: list[int], batch_tokens: int) -> None:
    array = np.array(lengths)
    batches = list(length_batches(array, batch_tokens))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * (-(-array[batch].max() // 8) * 8) <= batch_tokens
    assert (np.diff(array[np.concatenate(batches)]) <= 0).all()
