"""Models before any training: random ones (Tables 2 and 12), those that know a corpus's words, parts of public ones."""

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from simlm.data.frequencies import piece_counts
from simlm.data.store import TokenisedCollection
from simlm.data.tokenizer import load_tokenizer
from simlm.models.informed import cooccurrences, inform, log_frequencies, word_vectors
from simlm.models.load import load_body, load_masked_lm, with_masked_lm_head
from simlm.models.new import new_encoder, new_generator, new_like
from simlm.models.save import save_model
from simlm.scales.settings import EncoderShape, GeneratorShape

WHAT = "random initialisation"


def save_new_encoder(shape: EncoderShape, tokenizer: PreTrainedTokenizerFast, seed: int, model: Path) -> None:
    """Save a BERT of a scale's shape in the folder ``model``."""
    save_model(new_encoder(shape, tokenizer, seed), tokenizer, model, WHAT, {})


def save_new_generator(shape: GeneratorShape, tokenizer: PreTrainedTokenizerFast, seed: int, model: Path) -> None:
    """Save an ELECTRA generator of a scale's shape in the folder ``model``."""
    save_model(new_generator(shape, tokenizer, seed), tokenizer, model, WHAT, {})


def save_new_like(public: Path, tokenizer: PreTrainedTokenizerFast, seed: int, model: Path) -> None:
    """Save a model in the shape of the one in the folder ``public`` in the folder ``model``."""
    save_model(new_like(public, tokenizer, seed), tokenizer, model, WHAT, {})


def save_first_layers(public: Path, layers: int, model: Path) -> None:
    """Save the first layers of the encoder in the folder ``public`` in the folder ``model``."""
    tokenizer = load_tokenizer(public)
    encoder: Any = load_body(public, tokenizer)
    encoder.encoder.layer = encoder.encoder.layer[:layers]
    encoder.config.num_hidden_layers = layers
    save_model(encoder, tokenizer, model, f"the first {layers} layers of a public model, no training", {})


def save_with_head(public: Path, corpus: TokenisedCollection, generator: bool, seed: int, model: Path) -> None:
    """Save the encoder in the folder ``public`` in the folder ``model``, under a fresh MLM head for the corpus.

    With ``generator`` it becomes an ELECTRA generator.
    """
    tokenizer = corpus.tokenizer
    body = load_body(public, tokenizer)
    torch.manual_seed(seed)
    made = with_masked_lm_head(body, generator)
    output: Any = made.get_output_embeddings()
    with torch.no_grad():
        output.bias.copy_(log_frequencies(piece_counts(corpus.passages, len(tokenizer))))
    save_model(made, tokenizer, model, "a public model under a fresh MLM head, no training", {})


def save_informed(fresh: Path, corpus: TokenisedCollection, seed: int, model: Path) -> None:
    """Save the model in the folder ``fresh`` in the folder ``model``, informed by a corpus in its pieces.

    ``seed`` rotates the word vectors.
    """
    tokenizer, passages = corpus.tokenizer, corpus.passages
    start = load_masked_lm(fresh, tokenizer)
    vectors = word_vectors(cooccurrences(passages, len(tokenizer)), start.config.hidden_size, seed)
    inform(start, vectors, piece_counts(passages, len(tokenizer)))
    save_model(start, tokenizer, model, "word vectors of the corpus, no training", {})
