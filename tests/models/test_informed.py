"""A start that knows the corpus's words, against plain loops."""

import math

import numpy as np
import pytest
import torch

from simlm.data.tokens import TokenStore, build_token_store
from simlm.models.informed import cooccurrences, inform, positive_pmi, word_vectors
from tests.pretraining.toys import TOKENIZER, VOCABULARY, bert, corpus, electra

V = len(VOCABULARY)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    return build_token_store(corpus(60), TOKENIZER, tmp_path_factory.mktemp("corpus") / "store", has_titles=True)


def counted(store: TokenStore) -> np.ndarray:
    """Pairs of pieces at most five apart in one title or text, each counted 1 / distance, in both directions."""
    counts = np.zeros((V, V))
    for number in range(len(store)):
        for text in (store.title(number), store.text(number)):
            for i in range(len(text)):
                for j in range(len(text)):
                    if 1 <= abs(i - j) <= 5:
                        counts[text[i], text[j]] += 1 / abs(i - j)
    return counts


def test_cooccurrences_and_pmi_are_those_of_a_plain_loop(store: TokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simlm.models.informed.TEXTS_AT_A_TIME", 7)
    expected = counted(store)
    counts = cooccurrences(store, V)
    np.testing.assert_allclose(counts.toarray(), expected, rtol=1e-12)
    smoothed = expected.sum(axis=1) ** 0.75
    pmi = positive_pmi(counts).toarray()
    for i in range(V):
        for j in range(V):
            if expected[i, j]:
                ratio = expected[i, j] / expected[i].sum() / (smoothed[j] / smoothed.sum())
                assert pmi[i, j] == pytest.approx(max(0.0, math.log(ratio)), abs=1e-12)
            else:
                assert pmi[i, j] == 0


def test_word_vectors_have_the_products_of_the_factorisation(store: TokenStore) -> None:
    counts = cooccurrences(store, V)
    left, strengths, _ = np.linalg.svd(positive_pmi(counts).toarray())
    expected = left[:, :8] * np.sqrt(strengths[:8])
    expected -= expected.mean(axis=0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    vectors = word_vectors(counts, 8, seed=3)
    seen = counts.sum(axis=1) > 0
    np.testing.assert_allclose((vectors @ vectors.T)[seen][:, seen], (expected @ expected.T)[seen][:, seen], atol=1e-8)
    assert not vectors[~seen].any()
    assert not np.allclose(np.abs(vectors), np.abs(word_vectors(counts, 8, seed=4)))  # another rotation


@pytest.mark.parametrize("make", [bert, electra])
def test_an_informed_model(make, store: TokenStore) -> None:  # type: ignore[no-untyped-def]
    model, fresh = make(), make()
    width = model.get_input_embeddings().weight.shape[1]
    vectors = word_vectors(cooccurrences(store, V), width, seed=3)
    frequencies = np.arange(V)
    inform(model, vectors, frequencies)
    embeddings, output = model.get_input_embeddings().weight, model.get_output_embeddings()
    assert output.weight.data_ptr() == embeddings.data_ptr()
    known = vectors.any(axis=1)
    np.testing.assert_allclose(
        embeddings[known].detach(), vectors[known] * model.config.initializer_range * width**0.5, rtol=1e-5
    )
    assert torch.equal(embeddings[~known], fresh.get_input_embeddings().weight[~known])
    # A model that reads nothing predicts words by their frequency.
    np.testing.assert_allclose(output.bias.softmax(0).detach(), (frequencies + 1) / (frequencies + 1).sum(), rtol=1e-5)
    for layer, before in zip(model.base_model.encoder.layer, fresh.base_model.encoder.layer, strict=True):
        for name in ("attention.self.value", "attention.output.dense"):
            weight, old = layer.get_submodule(name).weight, before.get_submodule(name).weight
            torch.testing.assert_close(2 * weight, old + torch.eye(len(old)))
        assert torch.equal(layer.attention.self.query.weight, before.attention.self.query.weight)
