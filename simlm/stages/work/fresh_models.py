"""Models with fresh weights, as the rows "random init" and "random generator" start from (Tables 2 and 12)."""

from pathlib import Path

from transformers import PreTrainedTokenizerFast

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
