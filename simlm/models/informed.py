"""A start that knows the corpus's words before any training, as a stand-in for what a public language model knows.

Token embeddings are word vectors: positive pointwise mutual information of the pieces that stand near each other,
factorised (Levy & Goldberg, "Neural Word Embedding as Implicit Matrix Factorization", NeurIPS 2014). Attention begins
half as the identity in its value and output matrices, as trained attention tends to be (Trockman & Kolter, "Mimetic
Initialization of Self-Attention Layers", ICML 2023). All of it is seconds of arithmetic.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from transformers import BertForMaskedLM, ElectraForMaskedLM

from simlm.data.frequencies import TEXTS_AT_A_TIME
from simlm.data.tokens import TokenStore

WINDOW = 5
"""Pieces so far apart still count as near each other; a pair d apart counts 1/d."""
SMOOTHING = 0.75
"""The power of the contexts' frequencies, so that rare contexts weigh less (Levy et al., TACL 2015)."""


def cooccurrences(passages: TokenStore, vocabulary: int) -> csr_array:
    """Return how often each two pieces stand near each other in a title or a text: (V, V), symmetric.

    The store is read a block of texts at a time. Memory holds a block's pairs, and the pairs of pieces that occur.
    """
    counts = csr_array((vocabulary, vocabulary))
    for pieces, lengths in passages.blocks(TEXTS_AT_A_TIME):
        text = np.repeat(np.arange(len(lengths)), lengths)
        for distance in range(1, WINDOW + 1):
            together = text[:-distance] == text[distance:]
            pairs = pieces[:-distance][together], pieces[distance:][together]
            weights = np.full(len(pairs[0]), 1 / distance)
            counts += coo_array((weights, pairs), shape=counts.shape).tocsr()
    return counts + counts.T


def positive_pmi(counts: csr_array) -> csr_array:
    """Return max(0, log(p(i, j) / (p(i) p(j)))) for the co-occurrences (V, V), with the contexts' p(j) smoothed."""
    pairs = counts.tocoo()
    totals = counts.sum(axis=1)
    contexts = totals**SMOOTHING
    contexts /= contexts.sum() or 1.0
    rows, columns = pairs.coords
    values = np.log(pairs.data / (totals[rows] * contexts[columns]))
    return coo_array((np.maximum(values, 0), (rows, columns)), shape=counts.shape).tocsr()


def word_vectors(counts: csr_array, width: int, seed: int) -> NDArray[np.float64]:
    """Return a vector of length 1 for each piece, (V, width), from co-occurrences (V, V).

    They are centred, and rotated at random so that each head of attention sees a share of every direction. A piece that
    occurs near no other has zeros. The matrix is factorised whole: V is a stand-in's vocabulary, a few thousand pieces.
    """
    left, strengths, _ = np.linalg.svd(positive_pmi(counts).toarray())
    vectors = left[:, :width] * np.sqrt(strengths[:width])
    vectors -= vectors.mean(axis=0)
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))
    vectors = vectors @ rotation[: vectors.shape[1]]  # fewer where there are fewer pieces than ``width``
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    lone = (counts.sum(axis=1) == 0) | (lengths[:, 0] == 0)
    vectors[~lone] /= lengths[~lone]
    vectors[lone] = 0
    return vectors


def log_frequencies(counts: NDArray[np.int64]) -> torch.Tensor:
    """Return the logarithm of each piece's share of a corpus, (V,), from ``counts`` (V,) plus 1."""
    return torch.from_numpy(np.log((counts + 1) / (counts + 1).sum()))


@torch.no_grad()
def inform(
    model: BertForMaskedLM | ElectraForMaskedLM, vectors: NDArray[np.float64], counts: NDArray[np.int64]
) -> None:
    """Give a fresh model word vectors, word frequencies, and attention that passes on what it reads, in place.

    Args:
        model: BERT or an ELECTRA generator; its token embeddings are also its output matrix.
        vectors: (V, width), of length 1; a piece whose vector is zeros keeps its random embedding.
        counts: (V,), how often each piece occurs, which the output's bias says from now on.
    """
    embeddings: Any = model.get_input_embeddings().weight
    known = torch.from_numpy(vectors.any(axis=1))
    # As long as random ones are in the mean.
    scale = model.config.initializer_range * embeddings.shape[1] ** 0.5
    embeddings[known] = torch.from_numpy(vectors).to(embeddings.dtype)[known] * scale
    output: Any = model.get_output_embeddings()
    body: Any = model.base_model
    output.bias.copy_(log_frequencies(counts))
    for layer in body.encoder.layer:
        for linear in (layer.attention.self.value, layer.attention.output.dense):
            linear.weight.copy_((linear.weight + torch.eye(len(linear.weight))) / 2)
