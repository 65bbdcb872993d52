"""Where a report comes from, in ir_metadata form (https://www.ir-metadata.org, Breuer et al., SIGIR 2022)."""

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

from reports.hardware import platform_metadata
from simlm.commands.origin import source_state

_PART = r"[^\s/\\\"'<>|,;:()\[\]{}]+"
# A path starts with a slash that follows no word, dot or slash (as in "and/or", "../x" and "https://x") or that follows
# an option of one letter (-I/usr/include), and ends at a space. So does a file: address.
_POSIX = re.compile(
    r"(?:file:/+|(?<![\w./~:])/+|(?<=:)/(?!/)|(?:(?<=^-[A-Za-z])|(?<=\s-[A-Za-z]))/+)"
    rf"{_PART}(?:/+{_PART})*/*"
)
_WINDOWS = re.compile(r"(?<![A-Za-z])[A-Za-z]:[\\/][^\s\"'<>|,;()\[\]{}]*|\\\\[^\s\"'<>|,;()\[\]{}]+")

_PUBLICATION = {
    "venue": {"name": "ACL", "year": 2023},
    "publication": {
        "doi": "https://doi.org/10.18653/v1/2023.acl-long.125",
        "arxiv": "https://arxiv.org/abs/2207.02578",
        "title": "SimLM: Pre-training with Representation Bottleneck for Dense Passage Retrieval",
    },
}


def provenance(
    *,
    tag: str,
    command: Sequence[str],
    seeds: Mapping[str, int | list[int]],
    data: Mapping[str, Any],
    method: Mapping[str, Any],
    measures: Sequence[str],
    baselines: Sequence[str],
    resources: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the provenance of one report, as plain data without absolute paths.

    Args:
        tag: The name of the experiment: "table2-mini".
        command: The words of the command line.
        seeds: The seed of each kind of training; a list for several runs.
        data: As ir_metadata has it: collections with their fingerprints.
        method: The rows, their runs, and what made each stage.
        measures: What was measured; empty where nothing was tested.
        baselines: The rows that others were tested against.
        resources: What the stages cost together.
    """
    return scrub(
        {
            "schema version": "0.2",
            "tag": tag,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "actor": {"role": "reproducer"},
            "platform": platform_metadata(),
            "research goal": _PUBLICATION | (_evaluation(measures, baselines) if measures else {}),
            "implementation": {
                "executable": {"cmd": command_line(command)},
                "source": {"lang": ["python"]} | source_state(Path(__file__).parent.parent),
            },
            "method": {"automatic": True, "score ties": "smaller passage index", "seeds": dict(seeds)} | dict(method),
            "data": dict(data),
            "resources": dict(resources),
        }
    )


def _evaluation(measures: Sequence[str], baselines: Sequence[str]) -> dict[str, Any]:
    return {
        "evaluation": {
            "reported measures": list(measures),
            "baseline": list(baselines),
            "significance test": [{"name": "t-test, paired, two-sided", "correction method": "Holm"}],
        }
    }


def command_line(command: Sequence[str]) -> str:
    """Return the command as others would type it: `python` for the interpreter, no absolute path."""
    words = list(command)
    if words and Path(words[0]).name.startswith("python"):
        words[0] = "python"
    return shlex.join(scrub(word) for word in words)


def scrub(value: Any) -> Any:
    """Return a value without absolute paths: each is cut to its last part, in keys and nested values too.

    They would name people and machines, and help nobody else. Paths become text and tuples lists; web addresses,
    relative paths and other values stay.
    """
    if isinstance(value, PurePath):
        return _scrub_text(str(value))
    if isinstance(value, str):
        return _scrub_text(value)
    if isinstance(value, dict):
        return {scrub(key): scrub(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [scrub(item) for item in value]
    return value


def _scrub_text(text: str) -> str:
    for folder in _known_folders():
        # These can have spaces, where the pattern alone would end.
        text = re.sub(re.escape(folder) + r"(?![\w.-])", lambda match: "/" + Path(match[0]).name.split()[-1], text)
    text = _WINDOWS.sub(lambda match: re.split(r"[\\/]", match[0].rstrip("\\/"))[-1], text)
    return _POSIX.sub(lambda match: match[0].rstrip("/").rsplit("/", 1)[-1], text)


def _known_folders() -> list[str]:
    """Return this machine's own folders, the longest first."""
    folders = {os.getcwd(), str(Path.home()), tempfile.gettempdir(), sys.prefix, sys.base_prefix}
    return sorted((folder for folder in folders if len(folder) > 1), key=len, reverse=True)
