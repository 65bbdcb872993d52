"""Settings in a copied model's JSON files."""

import json
from pathlib import Path
from typing import Any


def read_settings(path: Path) -> dict[str, Any]:
    """The JSON object of a file that a stage wrote."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def write_settings(path: Path, content: Any) -> None:
    """Write JSON, in a folder that may be new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def change_settings(path: Path, **changes: Any) -> None:
    """Add to a file's JSON object, or change it."""
    write_settings(path, read_settings(path) | changes)
