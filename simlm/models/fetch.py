"""Copy a model that somebody else published, without remote code; the weights become safetensors."""

import shutil
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RevisionNotFoundError
from torch import Tensor

from simlm.errors import UserError
from simlm.models.public import COMMIT, PICKLE, PINNED_IN, without_weights

TOKENIZER = ("tokenizer*", "vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json")
DESCRIPTION = ("README.md", "modules.json", "1_Pooling/config.json", "artifact.metadata")
KEPT = ("config.json", "*.safetensors", *TOKENIZER, *DESCRIPTION)
WEIGHTS = "model.safetensors"


def copy_model(name: str, revision: str, target: Path) -> dict[str, Any]:
    """Copy a model's configuration, weights and tokenizer.

    Weights that come only as a pickle are read by torch's weights-only loader and kept as safetensors, so that nothing
    later opens a pickle.

    Args:
        name: A local folder, or a repository of the Hub.
        revision: What to fetch of a repository, a commit or a branch.
        target: The folder to copy to.

    Returns:
        ``source``, ``revision`` and, from the Hub, the ``commit`` that the revision stood for.

    Raises:
        UserError: It is no model folder, holds no weights or none that are plain, or cannot be fetched.
    """
    local = Path(name).is_dir()
    source = Path(name) if local else _fetch(name, revision, KEPT)
    if not (source / "config.json").is_file():
        raise UserError(f"{name}: not a model folder, it has no config.json; give a folder or Hub name of a model")
    safe = bool(list(source.glob("*.safetensors")))
    if not safe and not local:
        source = _fetch(name, revision, (*KEPT, PICKLE))
    weights = None if safe else _plain_weights(source / PICKLE, name)
    target.mkdir(parents=True, exist_ok=True)
    for pattern in KEPT:
        for path in source.glob(pattern):
            (target / path.relative_to(source)).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target / path.relative_to(source))
    if weights is not None:
        safetensors.torch.save_file(weights, target / WEIGHTS, {"format": "pt"})
    made = {"source": source.name if local else name, "revision": revision}
    commit = "" if local else source.name
    return made | ({"commit": commit} if COMMIT.fullmatch(commit) else {})


def _plain_weights(pickle: Path, name: str) -> dict[str, Tensor]:
    """Return the tensors of a pickle by name; those that share memory become copies, as safetensors has them."""
    if not pickle.is_file():
        raise without_weights(name)
    try:
        weights = torch.load(pickle, map_location="cpu", weights_only=True)
    except Exception as error:  # damage and refusal surface as a dozen unrelated types
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"{pickle}: not plain weights, or damaged ({reason}); it is not loaded in any other way: convert it to "
            "safetensors where it comes from"
        ) from error
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise UserError(f"{pickle}: not plain weights, which are tensors by name; convert them to safetensors")
    return {str(key): value.clone().contiguous() for key, value in weights.items()}


def _fetch(name: str, revision: str, patterns: tuple[str, ...]) -> Path:
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(patterns)))
    except RevisionNotFoundError as error:
        raise UserError(
            f"model {name}: the Hub does not have its revision {revision} any more; name another in {PINNED_IN}, "
            "or give a folder that holds the model"
        ) from error
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"model {name}: neither a folder nor to be had from the Hub ({reason}); check the name and the network"
        ) from error
