"""Models that somebody else published, copied without pickle or remote code."""

import shutil
from pathlib import Path
from typing import Any

from simlm.errors import UserError

KEPT = ("config.json", "*.safetensors", "tokenizer*", "vocab.txt", "special_tokens_map.json", "README.md")


def copy_model(name: str, revision: str, target: Path) -> dict[str, Any]:
    """Copy a local folder's, or a Hub repository's, configuration, safetensors and tokenizer into ``target``.

    UserError when it is not a model folder, holds no safetensors, or cannot be fetched.
    """
    source = Path(name) if Path(name).is_dir() else _fetch(name, revision)
    if not (source / "config.json").is_file():
        raise UserError(f"{name}: not a model folder, it has no config.json; give a folder or Hub name of a model")
    if not list(source.glob("*.safetensors")):
        raise UserError(f"{name}: no *.safetensors in it; convert the weights to safetensors (pickles are not loaded)")
    target.mkdir(parents=True, exist_ok=True)
    for pattern in KEPT:
        for path in source.glob(pattern):
            shutil.copyfile(path, target / path.name)
    return {"source": Path(name).name if Path(name).is_dir() else name, "revision": revision}


def _fetch(name: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(KEPT)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"model {name}: neither a folder nor to be had from the Hub ({reason}); check the name and the network"
        ) from error
