"""New models in a scale's shape, freshly initialised."""

from pathlib import Path

import torch
from transformers import BertConfig, BertForMaskedLM, ElectraConfig, ElectraForMaskedLM
from transformers import PreTrainedTokenizerFast as Tokenizer

from simlm.data.tokenizer import check_tokenizer_matches
from simlm.errors import UserError
from simlm.models.load import load_config
from simlm.scales.settings import EncoderShape, GeneratorShape

MAX_POSITIONS = 512


def new_encoder(shape: EncoderShape, tokenizer: Tokenizer, seed: int) -> BertForMaskedLM:
    """Make BERT with its MLM head."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        hidden_dropout_prob=shape.dropout,
        attention_probs_dropout_prob=shape.dropout,
        max_position_embeddings=MAX_POSITIONS,
        initializer_range=shape.initializer_range,
        pad_token_id=tokenizer.pad_token_id,
    )
    return BertForMaskedLM(config)


def new_generator(shape: GeneratorShape, tokenizer: Tokenizer, seed: int) -> ElectraForMaskedLM:
    """Make an ELECTRA generator; its dropout is off, as a frozen model's is."""
    torch.manual_seed(seed)
    config = ElectraConfig(
        vocab_size=len(tokenizer),
        embedding_size=shape.hidden,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=MAX_POSITIONS,
        initializer_range=shape.initializer_range,
        pad_token_id=tokenizer.pad_token_id,
    )
    return ElectraForMaskedLM(config)


def new_like(folder: Path, tokenizer: Tokenizer, seed: int) -> BertForMaskedLM | ElectraForMaskedLM:
    """Make a model with the configuration of the BERT or ELECTRA generator in a folder.

    UserError for a folder with another kind of model, or one for another tokenizer.
    """
    config = load_config(folder)
    kinds = {"bert": BertForMaskedLM, "electra": ElectraForMaskedLM}
    if config.model_type not in kinds:
        raise UserError(f"{folder}: a fresh model is BERT's or an ELECTRA generator's, not {config.model_type}'s")
    check_tokenizer_matches(tokenizer, config, folder)
    torch.manual_seed(seed)
    model: BertForMaskedLM | ElectraForMaskedLM = kinds[config.model_type](config)
    return model
