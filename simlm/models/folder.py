"""A model's folder as somebody else left it: where its weights are, and whether it can be a model at all."""

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from simlm.errors import UserError
from simlm.paths import instead

CONFIG = "config.json"
WEIGHTS, PICKLE = "model.safetensors", "pytorch_model.bin"
TOKENIZER = ("tokenizer*", "vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json")
DESCRIPTION = ("README.md", "modules.json", "1_Pooling/config.json", "artifact.metadata")
KEPT = (CONFIG, *TOKENIZER, *DESCRIPTION)
"""What a copy keeps beside the weights."""
INDEX = ".index.json"
"""How the name of the file ends that leads to shards."""
AGAIN = "fetch the repository again"
Shape = tuple[int, ...]
LAYER = re.compile(r"encoder\.layer\.\d+\.")
SIZES = ("size", "dim", "embeddings", "positions", "d_model", "d_ff")
"""How the names of settings end that are dimensions of weights."""


def weight_files(folder: Path) -> list[Path]:
    """Return the files with a model's weights, one or its shards, safetensors before pickles; [] where there are none.

    UserError for an index that names no files, or some that are not there.
    """
    for name in (WEIGHTS, PICKLE):
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}{INDEX}").is_file():
            return _shards(folder / f"{name}{INDEX}")
    return []


def _shards(index: Path) -> list[Path]:
    try:
        names = sorted({str(name) for name in json.loads(index.read_bytes())["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{index}: no index of weights ({error!r}); {AGAIN}") from None
    if not names or any(Path(name).name != name for name in names):
        raise UserError(f"{index}: names files that are none beside it; {AGAIN}")
    files = [index.parent / name for name in names]
    for path in files:
        if not path.is_file():
            raise UserError(f"{path} {instead(path)}, and {index.name} names it; {AGAIN}")
    return files


def kept_files(folder: Path) -> list[Path]:
    """Return the files that a copy keeps beside the weights; UserError where one of them is something else."""
    found = [path for pattern in KEPT for path in folder.glob(pattern)]
    for path in found:
        if not path.is_file():
            raise UserError(f"{path} {instead(path)} where a file has to be; remove it")
    return found


def read_weights(files: Sequence[Path]) -> dict[str, Any]:
    """Return the tensors of all files by name. A pickle is read by torch's weights-only loader.

    UserError for a damaged file, or a pickle that holds more than tensors by name.
    """
    from safetensors.torch import load_file  # torch, like below: what only looks at a folder does without

    weights: dict[str, Any] = {}
    for path in files:
        try:
            weights |= load_file(path) if path.suffix == ".safetensors" else _plain_weights(path)
        except SafetensorError as error:
            raise _damaged(path, error) from None
    return weights


def _plain_weights(pickle: Path) -> dict[str, Any]:
    import torch

    try:
        weights = torch.load(pickle, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(pickle))
    except Exception as error:  # damage and refusal surface as a dozen unrelated types
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"{pickle}: not plain weights, or damaged ({reason}); it is not loaded in any other way: convert it to "
            "safetensors where it comes from"
        ) from error
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise UserError(f"{pickle}: not plain weights, which are tensors by name; convert them to safetensors")
    return {str(key): value for key, value in weights.items()}


def check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be a model, before anything is made of it; its tensors are not read."""
    read_config(folder)
    kept_files(folder)
    files = weight_files(folder)
    if not files:
        raise without_weights(str(folder))
    _check_built(folder, check_sizes(folder, files))
    from simlm.data.tokenizer import VOCABULARIES, load_tokenizer

    if any((folder / name).is_file() for name in VOCABULARIES):
        load_tokenizer(folder)


def check_sizes(folder: Path, files: Sequence[Path]) -> Mapping[str, Shape]:
    """Return the shapes of the tensors in ``files``.

    UserError for a configuration that asks for more than these: a model that is built of it could take all memory.
    """
    shapes = _shapes(files)
    widest = max((side for shape in shapes.values() for side in shape), default=0)
    for name, value in read_config(folder).items():
        most = len(shapes) if "layer" in name else widest if name.endswith(SIZES) else None
        if isinstance(value, int) and most is not None and value > most:
            what = "tensors" if "layer" in name else "entries on the longest side"
            raise UserError(f"{folder / CONFIG}: {name} is {value:,}, and its weights have {most:,} {what}; {AGAIN}")
    return shapes


def read_config(folder: Path) -> dict[str, Any]:
    """Return what a folder's config.json holds; UserError where it holds no JSON object."""
    path = folder / CONFIG
    reason, content = "holds no JSON object" if path.is_file() else instead(path), None
    try:
        content = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError) as error:
        reason = f"is no JSON ({error})"
    if not isinstance(content, dict):
        raise UserError(f"{folder}: not a model folder, its {CONFIG} {reason}; give a folder or Hub name of a model")
    return content


def _shapes(files: Sequence[Path]) -> dict[str, Shape]:
    """Return the shape of each tensor by its name, from the files' heads."""
    found: dict[str, Shape] = {}
    for path in files:
        if path.suffix != ".safetensors":
            found |= {name: tuple(tensor.shape) for name, tensor in _plain_weights(path).items()}
            continue
        try:
            with safe_open(path, "numpy") as file:
                found |= {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise _damaged(path, error) from None
    return found


def _check_built(folder: Path, shapes: Mapping[str, Shape]) -> None:
    """Refuse a configuration of which transformers builds no model, or one with weights of other shapes."""
    import torch
    from transformers import AutoConfig, AutoModel

    try:
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModel.from_config(config, trust_remote_code=False)
    except Exception as error:  # a configuration of the wrong kind raises whatever its reader stumbled over
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{folder / CONFIG}: no configuration of a model ({reason}); {AGAIN}") from None
    layers = {found[0] for name in model.state_dict() if (found := LAYER.search(name))}
    for name in shapes:
        if (found := LAYER.search(name)) and found[0] not in layers:
            raise UserError(f"{folder / CONFIG}: by it there are too few layers for {name}; {AGAIN}")
    for name, weight in model.state_dict().items():
        stored = next((shape for one, shape in shapes.items() if f".{one}".endswith(f".{name}")), None)
        if stored not in (None, tuple(weight.shape)):
            sizes = f"by it {name} is of size {tuple(weight.shape)}, and in the weights {stored}"
            raise UserError(f"{folder / CONFIG}: {sizes}; {AGAIN}")


def without_weights(name: str) -> UserError:
    """Return the error for a model, a folder or a Hub name, that has no weights."""
    return UserError(
        f"{name}: no {WEIGHTS} and no {PICKLE} in it, whole or in shards; give a folder or Hub name of a model with "
        "weights"
    )


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: damaged safetensors ({error}); {AGAIN}")
