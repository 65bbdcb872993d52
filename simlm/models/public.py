"""Models that somebody else published: the commits at which they are fetched, and what a folder with one must hold.

A branch of the Hub moves, a commit does not. A commit stands here, or in the record of a published system
(`baselines.systems`), where a public source names repository and commit together; "its page" is the Hub's own page of
the repository at that commit. All others are fetched at `MAIN`, and manifest and report name the commit that was.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open

from simlm.errors import UserError

PICKLE = "pytorch_model.bin"
COMMIT = re.compile(r"[0-9a-f]{40}")
MAIN = "main"
PINNED_IN = "simlm/models/public.py or baselines/systems.py"
"""Where a reader names another commit."""


class Pin(NamedTuple):
    """A commit of 40 hexadecimal digits, and the source that names it beside its repository."""

    commit: str
    source: str


PINS: Mapping[str, Pin] = {
    "bert-base-uncased": Pin(
        "86b5e0934494bd15c9632b12f734a8a67f723594",
        "paths models--bert-base-uncased/snapshots/<commit> of the Hub's cache, in many public repositories; the Hub's "
        "page google-bert/bert-base-uncased/blob/refs/pr/71/tokenizer_config.json has its first digits",
    ),
    "roberta-base": Pin(
        "e2da8e2f811d1448a5b465c236feacd80ffbac7b",
        "its page FacebookAI/roberta-base/blob/<commit>/vocab.json; paths models--roberta-base/snapshots/<commit> of "
        "the Hub's cache, in public repositories",
    ),
    "google/electra-base-generator": Pin(
        "1c65e3f5f4597679b87620707df5774c08c6606d",
        "its page commits/<commit>; main is one commit newer, which changed tokenizer_config.json only (tree/main)",
    ),
    "google/electra-base-discriminator": Pin(
        "1ae76a97c7e84a4e640876a07453fccd636f0667",
        "its page tree/<commit>; tables of pinned models in public repositories",
    ),
}
"""The models of the scales."""


def revision_of(repository: str) -> str:
    """Return what a repository is fetched at: the commit that is pinned, or ``MAIN``, also for what is none."""
    return PINS[repository].commit if repository in PINS else MAIN


def check_folder(folder: Path) -> None:
    """Refuse a local folder that cannot be a model: quickly, before anything is made of it."""
    config = folder / "config.json"
    if not config.is_file():
        raise UserError(f"{folder}: not a model folder, it has no config.json; fetch the repository again")
    try:
        json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{config}: no JSON ({error}); fetch the repository again") from None
    weights = sorted(folder.glob("*.safetensors"))
    if not weights and not (folder / PICKLE).is_file():
        raise without_weights(str(folder))
    for path in weights:
        try:
            with safe_open(path, "numpy"):
                pass
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path}: damaged safetensors ({error}); fetch the repository again") from None


def without_weights(name: str) -> UserError:
    """Return the error for a model, a folder or a Hub name, that has no weights."""
    return UserError(
        f"{name}: no *.safetensors and no {PICKLE} in it; give a folder or Hub name of a model with weights"
    )
