"""Load models: safetensors only, every weight there, no code that comes with them."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    BertForMaskedLM,
    BertModel,
    ElectraForSequenceClassification,
    ElectraModel,
    PreTrainedModel,
)
from transformers import PreTrainedTokenizerFast as Tokenizer

from simlm.data.tokenizer import check_tokenizer_matches
from simlm.errors import UserError
from simlm.finetuning.reranker import reranker_from_encoder

# BERT-like bodies bring a pooler that nothing here uses and that many checkpoints lack.
UNUSED = "pooler."
# A head that is not asked for may be left over, but no layer of the body.
LAYERS = "encoder.layer."


def load_checkpoint(kind: Any, name_or_folder: str | Path, **extra: Any) -> Any:
    """Load a model by ``kind.from_pretrained`` in float32, without pickle.

    Args:
        kind: A class of transformers.
        name_or_folder: A folder, or a name of the Hub.
        extra: Arguments of the model's constructor.

    Raises:
        UserError: There is no checkpoint, it is damaged, or it is another model's: transformers itself would fill the
            missing weights with random numbers and only warn.
    """
    try:
        model, report = kind.from_pretrained(
            str(name_or_folder),
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are refused below, by a line that names one
            **extra,
        )
    except Exception as error:
        # Missing files, damaged weights and configurations of the wrong kind surface as a dozen unrelated types.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise _not_one(kind, name_or_folder, reason) from error
    for name, stored, asked in sorted(report["mismatched_keys"])[:1]:
        reason = f"{name} is of size {tuple(stored)}, by its config.json {tuple(asked)}"
        raise _not_one(kind, name_or_folder, reason)
    missing = sorted(name for name in report["missing_keys"] if UNUSED not in name)
    if missing:
        raise _not_one(kind, name_or_folder, f"{len(missing)} weights are missing, {missing[0]} is the first")
    unused = sorted(name for name in report["unexpected_keys"] if LAYERS in name)
    if unused:
        raise _not_one(kind, name_or_folder, f"by its config.json it has too few layers for {unused[0]}")
    return model


def _not_one(kind: Any, name_or_folder: str | Path, reason: str) -> UserError:
    return UserError(
        f"{name_or_folder}: not a checkpoint of {kind.__name__} ({reason}); give a folder or Hub name of one"
    )


def load_encoder(name_or_folder: str | Path, tokenizer: Tokenizer) -> BertForMaskedLM:
    """Load BERT with its MLM head; UserError when that is not what is there, or for another tokenizer."""
    model: BertForMaskedLM = load_checkpoint(BertForMaskedLM, name_or_folder)
    check_tokenizer_matches(tokenizer, model.config, name_or_folder)
    return model


def load_body(folder: Path, tokenizer: Tokenizer) -> PreTrainedModel:
    """Load an encoder without any head; the pooler of BERT and RoBERTa, which nothing uses, is left out."""
    config = load_config(folder)
    extra = {"add_pooling_layer": False} if config.model_type in ("bert", "roberta") else {}
    model: PreTrainedModel = load_checkpoint(AutoModel, folder, **extra)
    check_tokenizer_matches(tokenizer, model.config, folder)
    return model


def load_reranker_start(folder: Path, tokenizer: Tokenizer, dropout: float) -> ElectraForSequenceClassification:
    """Load an encoder under a fresh ELECTRA head with one logit, with the given dropout throughout."""
    body = load_body(folder, tokenizer)
    if not isinstance(body, BertModel | ElectraModel):
        raise UserError(f"{folder}: a re-ranker starts from BERT or ELECTRA, not {type(body).__name__}")
    body.config.hidden_dropout_prob = dropout
    body.config.attention_probs_dropout_prob = dropout
    return reranker_from_encoder(body)


def load_reranker(folder: Path, tokenizer: Tokenizer) -> ElectraForSequenceClassification:
    """Load a trained re-ranker."""
    model: ElectraForSequenceClassification = load_checkpoint(ElectraForSequenceClassification, folder)
    check_tokenizer_matches(tokenizer, model.config, folder)
    return model


def load_config(folder: str | Path) -> Any:
    """Load the configuration of a model; UserError when there is none."""
    try:
        return AutoConfig.from_pretrained(str(folder))
    except Exception as error:  # a configuration of the wrong kind raises whatever its reader stumbled over
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder}: not a model folder ({reason}); give a folder or Hub name of one") from error
