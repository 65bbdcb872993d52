"""Copy a model that somebody else published, without remote code; the weights become one file of safetensors."""

import shutil
from pathlib import Path
from typing import Any

import safetensors.torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RevisionNotFoundError

from simlm.errors import UserError
from simlm.models.folder import (
    INDEX,
    KEPT,
    PICKLE,
    WEIGHTS,
    check_sizes,
    kept_files,
    read_config,
    read_weights,
    weight_files,
    without_weights,
)
from simlm.models.public import COMMIT, PINNED_IN

SAFE = (WEIGHTS, "model-*.safetensors", f"{WEIGHTS}{INDEX}")
PICKLES = (PICKLE, "pytorch_model-*.bin", f"{PICKLE}{INDEX}")


def copy_model(name: str, revision: str, target: Path) -> dict[str, Any]:
    """Copy a model's configuration, weights and tokenizer.

    Weights in shards, and those that come only as a pickle, are kept as one file of safetensors, so that nothing later
    looks for shards or opens a pickle.

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
    source = Path(name) if local else _fetch(name, revision, (*KEPT, *SAFE))
    read_config(source)
    files = weight_files(source)
    if not files and not local:
        source = _fetch(name, revision, (*KEPT, *PICKLES))
        files = weight_files(source)
    if not files:
        raise without_weights(name)
    check_sizes(source, files)
    kept = kept_files(source)
    whole = files == [source / WEIGHTS]
    weights = {} if whole else read_weights(files)
    target.mkdir(parents=True, exist_ok=True)
    for path in kept:
        (target / path.relative_to(source)).parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target / path.relative_to(source))
    if whole:
        shutil.copyfile(source / WEIGHTS, target / WEIGHTS)
    else:  # those that share memory become copies, as safetensors has them
        copies = {name: value.clone().contiguous() for name, value in weights.items()}
        safetensors.torch.save_file(copies, target / WEIGHTS, {"format": "pt"})
    made = {"source": source.name if local else name, "revision": revision}
    commit = "" if local else source.name
    return made | ({"commit": commit} if COMMIT.fullmatch(commit) else {})


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
