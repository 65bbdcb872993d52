"""Loading a checkpoint that really is one: safetensors only, every weight there."""

from pathlib import Path
from typing import Any

import torch

from simlm.errors import UserError

# BERT-like bodies bring a pooler that nothing here uses and that many checkpoints lack.
UNUSED = "pooler."
# A head that is not asked for may be left over, but no layer of the body.
LAYERS = "encoder.layer."


def load_checkpoint(kind: Any, name_or_folder: str | Path, **extra: Any) -> Any:
    """``kind.from_pretrained`` in float32, without pickle.

    ``extra`` goes to the model's constructor. UserError when there is no checkpoint, when it is damaged, or when it is
    another model's: transformers itself would fill the missing weights with random numbers and only warn.
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
