"""How long stages took before."""

import json
from pathlib import Path

from simlm.stages.manifest import read_manifest

REPORTS = Path(__file__).resolve().parents[2] / "reports"


def published_seconds(scale: str) -> dict[str, float]:
    """What each stage took in the published reports of a scale, by its name; {} when there are none."""
    seconds: dict[str, float] = {}
    for path in sorted((REPORTS / scale).glob("*.json")):
        try:
            stages = json.loads(path.read_text(encoding="utf-8"))["stages"]
            seconds |= {stage["name"]: float(stage["seconds"]) for stage in stages}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return seconds


def measured_seconds(job: Path) -> float:
    """What a finished stage took, interrupted attempts included."""
    manifest = read_manifest(job) or {}
    return float(sum(attempt["seconds"] for attempt in manifest.get("attempts", [])))
