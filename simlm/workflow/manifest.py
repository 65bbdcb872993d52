"""What makes a finished stage trustworthy: a list of its outputs with their digests, written last."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simlm.files import SEAL, misfit, read_json, read_sealed

MANIFEST = "manifest.json"
PARTS = {"outputs": dict, "inputs": dict, "numbers": dict, "attempts": list}


def read_manifest(job: Path) -> dict[str, Any] | None:
    """Return a stage's manifest, or None when there is none, or not as it was written.

    Older versions did not seal it: theirs counts when it has all parts and names every output.
    """
    manifest = read_json(job / MANIFEST) or {}
    if SEAL in manifest:
        return read_sealed(job / MANIFEST)
    if not all(isinstance(manifest.get(name), kind) for name, kind in PARTS.items()):
        return None
    output = job / "output"
    found = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    return manifest if found <= manifest["outputs"].keys() else None


def outputs_digest(manifest: Mapping[str, Any]) -> str:
    """Return one sha256 that stands for all outputs of a stage."""
    lines = "".join(f"{name} {entry['sha256']}\n" for name, entry in sorted(manifest["outputs"].items()))
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()


def damage(job: Path, inputs: Mapping[str, str]) -> str | None:
    """Return why a finished stage may not be reused, or None when its manifest verifies.

    Args:
        job: the stage's folder.
        inputs: the digests of the stages it depends on, as they are now, by parameter name.
    """
    manifest = read_manifest(job)
    if manifest is None:
        return "its manifest is damaged" if (job / MANIFEST).exists() else "it has no manifest"
    try:
        if (changed := misfit(job / "output", manifest["outputs"])) is not None:
            return changed
    except (KeyError, TypeError, OSError):
        return "its manifest or its outputs cannot be read"
    return None if manifest["inputs"] == inputs else "a stage it stands on has other outputs now"


def seconds_of(manifest: Mapping[str, Any]) -> float:
    """Return the seconds that a stage took, its interrupted attempts included."""
    return float(sum(attempt["seconds"] for attempt in manifest.get("attempts", [])))
