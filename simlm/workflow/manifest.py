"""What makes a finished stage trustworthy: a list of its outputs with their digests, written last."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simlm.files import digest, read_json

MANIFEST = "manifest.json"


def read_manifest(job: Path) -> dict[str, Any] | None:
    """Return a stage's manifest, or None when there is none that can be read."""
    return read_json(job / MANIFEST)


def outputs_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Return {relative path: {size, sha256}} of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": digest(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


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
        return "it has no manifest"
    try:
        for name, entry in manifest["outputs"].items():
            path = job / "output" / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != entry["size"] or digest(path) != entry["sha256"]:
                return f"{name} does not have its checksum any more"
        if dict(manifest["inputs"]) != dict(inputs):
            return "a stage it stands on has other outputs now"
    except (KeyError, TypeError, AttributeError, OSError):
        return "its manifest cannot be read"
    return None


def seconds_of(manifest: Mapping[str, Any]) -> float:
    """Return the seconds that a stage took, its interrupted attempts included."""
    return float(sum(attempt["seconds"] for attempt in manifest.get("attempts", [])))
