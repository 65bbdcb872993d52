"""What makes a finished stage trustworthy: a list of its outputs with their digests, written last."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simlm.files import digest

MANIFEST = "manifest.json"


def write_json(path: Path, content: Any) -> None:
    """Write JSON so that the file is there whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(json.dumps(content, indent=1, sort_keys=True, default=str) + "\n", encoding="utf-8")
    partial.replace(path)


def read_manifest(job: Path) -> dict[str, Any] | None:
    """A stage's manifest, or None when there is none that can be read."""
    return read_json(job / MANIFEST)


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object of a file, or None when there is none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def outputs_of(folder: Path) -> dict[str, dict[str, Any]]:
    """{relative path: {size, sha256}} of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": digest(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def outputs_digest(manifest: Mapping[str, Any]) -> str:
    """One sha256 that stands for all outputs of a stage."""
    lines = "".join(f"{name} {entry['sha256']}\n" for name, entry in sorted(manifest["outputs"].items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def damage(job: Path, inputs: Mapping[str, str]) -> str | None:
    """Why a finished stage may not be reused, or None when its manifest verifies.

    ``inputs`` are the digests of the stages it stands on, as they are now.
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
    """What a stage took, its interrupted attempts included."""
    return float(sum(attempt["seconds"] for attempt in manifest.get("attempts", [])))
