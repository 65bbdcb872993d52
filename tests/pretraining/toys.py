"""A toy vocabulary, tiny models and a tiny corpus, shared by the tests of pre-training and of training."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast, ElectraConfig, ElectraForMaskedLM

from simlm.pretraining.masking import WordPieces
from simlm.pretraining.objective import Example, ObjectiveConfig

WORDS = [f"word{i}" for i in range(20)]
ENDINGS = [f"##end{i}" for i in range(15)]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *ENDINGS]
PAD, UNK, CLS, SEP, MASK = range(5)
FIRST_WORD, FIRST_ENDING = 5, 5 + len(WORDS)

ALL_PIECES = np.arange(len(VOCABULARY), dtype=np.int32)
TOKENIZER = BertTokenizerFast(vocab={piece: i for i, piece in enumerate(VOCABULARY)}, do_lower_case=True)
ENDING = np.arange(len(VOCABULARY)) // 4 == 2  # four of the words end a sentence
PIECES = replace(WordPieces.of(TOKENIZER), ends=ENDING)
CONFIG = ObjectiveConfig(encoder_rate=0.3, decoder_rate=0.5, generator_dropout=False, seed=7)


def bert(seed: int = 1, layers: int = 2, dropout: float = 0.0, vocabulary: int = len(VOCABULARY)) -> BertForMaskedLM:
    """BERT, 32 wide, in training mode; weights far from zero, so that a wrong one shows."""
    torch.manual_seed(seed)
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=vocabulary,
            hidden_size=32,
            num_hidden_layers=layers,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=64,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            initializer_range=0.2,
        )
    )
    return model.train()


def electra(seed: int = 2, dropout: float = 0.0, vocabulary: int = len(VOCABULARY)) -> ElectraForMaskedLM:
    """An ELECTRA generator, 32 wide with embeddings of 16, in training mode."""
    torch.manual_seed(seed)
    model = ElectraForMaskedLM(
        ElectraConfig(
            vocab_size=vocabulary,
            embedding_size=16,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=64,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            initializer_range=0.2,
        )
    )
    return model.train()


def example(passage: int, length: int, epoch: int = 0, titled: bool = False) -> Example:
    """A passage of ``length`` tokens, special ones included, that depends on its number alone."""
    rng = np.random.default_rng([passage, length])
    ids = rng.integers(FIRST_WORD, len(VOCABULARY), length).astype(np.int32)
    ids[1] = FIRST_WORD
    ids[0], ids[-1] = CLS, SEP
    types = np.zeros(length, dtype=np.int8)
    if titled:
        ids[length // 3] = SEP
        types[length // 3 + 1 :] = 1
    return Example(passage, epoch, ids, types)


def examples(lengths: Sequence[int], epoch: int = 0, titled: bool = False) -> list[Example]:
    """Passages 0, 1, ... of these lengths."""
    return [example(number, length, epoch, titled) for number, length in enumerate(lengths)]


def corpus(size: int, seed: int = 5) -> list[tuple[str, str, str]]:
    """(id, title, text) of passages in which each word tells the next, so that a model can learn."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(size):
        start, length = int(rng.integers(len(WORDS))), int(rng.integers(6, 16))
        text = " ".join(WORDS[(start + place) % len(WORDS)] for place in range(length))
        rows.append((f"p{number}", WORDS[start], text))
    return rows


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Along the last axis, in float64."""
    logits = np.asarray(logits, dtype=np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def exact(tensor: Tensor) -> np.ndarray:
    """As float64."""
    return tensor.detach().double().numpy()
