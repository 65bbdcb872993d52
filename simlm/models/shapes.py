"""New models in a scale's shape, and loading and saving them without pickle or remote code."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForSequenceClassification,
    ElectraModel,
    PreTrainedModel,
)
from transformers import PreTrainedTokenizerFast as Tokenizer

from simlm.data.tokenizer import check_tokenizer_matches
from simlm.errors import UserError
from simlm.models.card import model_card
from simlm.models.load import load_checkpoint
from simlm.scales.settings import EncoderShape, GeneratorShape

MAX_POSITIONS = 512
_NOT_COPIED = ("model_type", "architectures", "id2label", "label2id", "transformers_version", "_name_or_path")
"""What a configuration says about a checkpoint rather than an architecture."""


def new_encoder(shape: EncoderShape, tokenizer: Tokenizer, seed: int) -> BertForMaskedLM:
    """BERT with its MLM head, freshly initialised."""
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
    """An ELECTRA generator, freshly initialised; its dropout is off, as a frozen model's is."""
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
    """A freshly initialised model with the configuration of the BERT or ELECTRA generator in a folder.

    UserError for a folder with another kind of model, or one for another tokenizer.
    """
    config = _config(folder)
    kinds = {"bert": BertForMaskedLM, "electra": ElectraForMaskedLM}
    if config.model_type not in kinds:
        raise UserError(f"{folder}: a fresh model is BERT's or an ELECTRA generator's, not {config.model_type}'s")
    check_tokenizer_matches(tokenizer, config, folder)
    torch.manual_seed(seed)
    model: BertForMaskedLM | ElectraForMaskedLM = kinds[config.model_type](config)
    return model


def load_encoder(name_or_folder: str | Path, tokenizer: Tokenizer) -> BertForMaskedLM:
    """BERT with its MLM head in float32, from safetensors; UserError when that is not what is there."""
    model: BertForMaskedLM = load_checkpoint(BertForMaskedLM, name_or_folder)
    check_tokenizer_matches(tokenizer, model.config, name_or_folder)
    return model


def save_model(model: PreTrainedModel, tokenizer: Tokenizer, folder: Path, what: str, numbers: dict[str, Any]) -> None:
    """Save weights as safetensors, with the tokenizer and a card, so that Auto classes load the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(model_card(model, tokenizer, what, numbers), encoding="utf-8")


def load_body(folder: Path, tokenizer: Tokenizer) -> PreTrainedModel:
    """An encoder without any head, in float32; the pooler of BERT and RoBERTa, which nothing uses, is left out."""
    config = _config(folder)
    extra = {"add_pooling_layer": False} if config.model_type in ("bert", "roberta") else {}
    model: PreTrainedModel = load_checkpoint(AutoModel, folder, **extra)
    check_tokenizer_matches(tokenizer, model.config, folder)
    return model


def reranker_from_encoder(encoder: BertModel | ElectraModel) -> ElectraForSequenceClassification:
    """Put an encoder under ELECTRA's head: dropout, dense, GELU, dropout, linear, one logit.

    The encoder's weights are copied and give the same hidden states: an ELECTRA encoder without a projection of its
    embeddings is a BERT encoder. BERT's pooler has no part in it. The head is drawn from torch's global generator,
    which the caller seeds. Attention implementation and dropout rates stay the encoder's. Raises TypeError for another
    kind of encoder.
    """
    if not isinstance(encoder, BertModel | ElectraModel):
        raise TypeError(f"a re-ranker comes from a BertModel or ElectraModel, not a {type(encoder).__name__}")
    own: dict[str, Any] = encoder.config.to_dict()
    settings = {name: value for name, value in own.items() if name not in _NOT_COPIED}
    settings.setdefault("embedding_size", encoder.config.hidden_size)
    settings |= {"num_labels": 1, "attn_implementation": encoder.config._attn_implementation}
    model = ElectraForSequenceClassification(ElectraConfig(**settings))
    weights = encoder.state_dict().items()
    model.electra.load_state_dict({key: value for key, value in weights if not key.startswith("pooler.")})
    return model


def load_reranker_start(folder: Path, tokenizer: Tokenizer, dropout: float) -> ElectraForSequenceClassification:
    """An encoder under a fresh ELECTRA head with one logit, with the given dropout throughout."""
    body = load_body(folder, tokenizer)
    if not isinstance(body, BertModel | ElectraModel):
        raise UserError(f"{folder}: a re-ranker starts from BERT or ELECTRA, not {type(body).__name__}")
    body.config.hidden_dropout_prob = dropout
    body.config.attention_probs_dropout_prob = dropout
    return reranker_from_encoder(body)


def load_reranker(folder: Path, tokenizer: Tokenizer) -> ElectraForSequenceClassification:
    """A trained re-ranker."""
    model: ElectraForSequenceClassification = load_checkpoint(ElectraForSequenceClassification, folder)
    check_tokenizer_matches(tokenizer, model.config, folder)
    return model


def _config(folder: str | Path) -> Any:
    try:
        return AutoConfig.from_pretrained(str(folder))
    except Exception as error:  # a configuration of the wrong kind raises whatever its reader stumbled over
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder}: not a model folder ({reason}); give a folder or Hub name of one") from error
