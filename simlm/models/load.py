"""Loading a checkpoint that really is one: safetensors only, every weight there."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from simlm.errors import UserError

# BERT-like bodies bring a pooler that nothing here uses and that many checkpoints lack.
UNUSED = "pooler."


def load_checkpoint(kind: Any, name_or_folder: str | Path, **extra: Any) -> Any:
    """``kind.from_pretrained`` in float32, without pickle.

    ``extra`` goes to the model's constructor. UserError when there is no checkpoint, when it is damaged, or when it is
    another model's: transformers itself would fill the missing weights with random numbers and only warn.
    """
    try:
        model, report = kind.from_pretrained(
            str(name_or_folder), dtype=torch.float32, use_safetensors=True, output_loading_info=True, **extra
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _not_one(kind, name_or_folder, reason) from error
    missing = sorted(name for name in report["missing_keys"] if UNUSED not in name)
    if missing:
        raise _not_one(kind, name_or_folder, f"{len(missing)} weights are missing, {missing[0]} is the first")
    return model


def _not_one(kind: Any, name_or_folder: str | Path, reason: str) -> UserError:
    return UserError(
        f"{name_or_folder}: not a checkpoint of {kind.__name__} ({reason}); give a folder or Hub name of one"
    )
