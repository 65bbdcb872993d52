"""Load models: safetensors only, every weight there, no code that comes with them."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
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

# BERT-like bodies bring a pooler that nothing here uses and that many checkpoints lack.
UNUSED = "pooler."
# A head that is not asked for may be left over, but no layer of the body.
LAYERS = "encoder.layer."
_NOT_COPIED = ("model_type", "architectures", "id2label", "label2id", "transformers_version", "_name_or_path")
"""What a configuration says about a checkpoint rather than an architecture."""


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


def load_masked_lm(folder: Path, tokenizer: Tokenizer) -> BertForMaskedLM | ElectraForMaskedLM:
    """Load BERT with its MLM head, or an ELECTRA generator; UserError for another kind, or for another tokenizer."""
    kind = ElectraForMaskedLM if load_config(folder).model_type == "electra" else BertForMaskedLM
    model: BertForMaskedLM | ElectraForMaskedLM = load_checkpoint(kind, folder)
    check_tokenizer_matches(tokenizer, model.config, folder)
    return model


def load_body(folder: Path, tokenizer: Tokenizer) -> PreTrainedModel:
    """Load an encoder without any head; the pooler of BERT and RoBERTa, which nothing uses, is left out."""
    config = load_config(folder)
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
    model = ElectraForSequenceClassification(_electra_config(encoder, num_labels=1))
    weights = encoder.state_dict().items()
    model.electra.load_state_dict({key: value for key, value in weights if not key.startswith("pooler.")})
    return model


def _electra_config(encoder: PreTrainedModel, **changes: Any) -> ElectraConfig:
    """Return the configuration of an ELECTRA with an encoder's own weights."""
    own: dict[str, Any] = encoder.config.to_dict()
    settings = {name: value for name, value in own.items() if name not in _NOT_COPIED}
    settings.setdefault("embedding_size", encoder.config.hidden_size)
    return ElectraConfig(**settings | changes | {"attn_implementation": encoder.config._attn_implementation})


def with_masked_lm_head(encoder: PreTrainedModel, generator: bool) -> BertForMaskedLM | ElectraForMaskedLM:
    """Put a BERT without pooler under a fresh MLM head: BERT's, or with ``generator`` that of ELECTRA's generator.

    The head is drawn from torch's global generator, which the caller seeds. UserError for another kind of encoder.
    """
    if not isinstance(encoder, BertModel):
        raise UserError(f"{encoder.name_or_path}: an MLM head is put on BERT, not on {type(encoder).__name__}")
    model: BertForMaskedLM | ElectraForMaskedLM
    model = ElectraForMaskedLM(_electra_config(encoder)) if generator else BertForMaskedLM(encoder.config)
    body: Any = model.base_model
    body.load_state_dict(encoder.state_dict())
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
        return AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as error:  # a configuration of the wrong kind raises whatever its reader stumbled over
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{folder}: not a model folder ({reason}); give a folder or Hub name of one") from error
