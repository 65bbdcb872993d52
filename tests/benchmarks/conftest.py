"""A model and passages of mini's size, with InsuranceQA's spread of lengths, random words and random weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from simlm.data.inputs import Specials
from simlm.data.tokens import TokenStore, build_token_store
from simlm.models.new import new_encoder, new_generator
from simlm.models.save import save_model
from simlm.scales import open_scale
from simlm.scales.settings import EncoderShape, GeneratorShape

PASSAGES = 1_024
MEDIAN, SPREAD, LONGEST = 95.0, 0.6, 400
"""Log-normal lengths in words: the middle and the width of InsuranceQA's passages."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("benchmarks")


@pytest.fixture(scope="session")
def words():
    generator = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    return ["".join(generator.choice(letters, size)) for size in generator.integers(2, 9, 3_000)]


@pytest.fixture(scope="session")
def texts(words):
    generator = np.random.default_rng(1)
    lengths = np.clip(generator.lognormal(np.log(MEDIAN), SPREAD, PASSAGES), 5, LONGEST).astype(int)
    return [" ".join(generator.choice(words, length)) for length in lengths]


@pytest.fixture(scope="session")
def tokenizer(folder, words):
    from transformers import BertTokenizerFast

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(words))]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    return BertTokenizerFast(vocab=str(folder / "vocab.txt"))


@pytest.fixture(scope="session")
def store(folder, texts, tokenizer) -> TokenStore:
    rows = ((str(number), "", text) for number, text in enumerate(texts))
    return build_token_store(rows, tokenizer, folder / "store", has_titles=False)


@pytest.fixture(scope="session")
def scale():
    return open_scale("mini")


@pytest.fixture
def encoder(scale, tokenizer):
    assert isinstance(scale.encoder, EncoderShape)
    torch.set_num_threads(2)
    return new_encoder(scale.encoder, tokenizer, 0)


@pytest.fixture
def generator(scale, tokenizer):
    assert isinstance(scale.generator, GeneratorShape)
    return new_generator(scale.generator, tokenizer, 0).eval()


@pytest.fixture
def model_folder(folder, encoder, tokenizer) -> Path:
    target = folder / "model"
    save_model(encoder, tokenizer, target, "benchmark", {})
    return target


@pytest.fixture(scope="session")
def specials(tokenizer):
    return Specials.of(tokenizer)
