"""Where a report comes from, in ir_metadata form (https://www.ir-metadata.org, Breuer et al., SIGIR 2022)."""

import hashlib
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from reports.hardware import platform_metadata
from reports.scrub import scrub

_GENERATED = tuple(f":(exclude,glob)reports/*/*{suffix}" for suffix in (".md", ".json", ".svg"))
"""Published reports: writing one does not change the code that the next one comes from."""

_PAPER = {
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
    seeds: Mapping[str, int],
    data: Mapping[str, Any],
    method: Mapping[str, Any],
    measures: Sequence[str],
    baselines: Sequence[str],
    resources: Mapping[str, Any] | None = None,
    root: Path | None = None,
) -> dict[str, Any]:
    """The provenance of one report, as plain data without absolute paths.

    `tag` names the experiment ("table2-mini"); `command` is the command line as given; `data` is
    ir_metadata's (`test collection`, `training data`, with the collection's fingerprint); `method` its
    retrieval components and settings; `measures` and `baselines` are empty where nothing was tested;
    `resources` is what the stages cost in all. `root` is the source tree, by default the one around this
    package.
    """
    commit = source_state(root or Path(__file__).parent.parent)
    return scrub(
        {
            "schema version": "0.2",
            "tag": tag,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "actor": {"role": "reproducer"},
            "platform": platform_metadata(),
            "research goal": _PAPER | (_evaluation(measures, baselines) if measures else {}),
            "implementation": {
                "executable": {"cmd": command_line(command)},
                "source": {"lang": ["python"]} | commit,
            },
            "method": {"automatic": True, "score ties": "smaller passage index", "seeds": dict(seeds)} | dict(method),
            "data": dict(data),
            "resources": dict(resources or {}),
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
    """The command as another reader would type it: `python` for the interpreter, no absolute path."""
    words = list(command)
    if words and Path(words[0]).name.startswith("python"):
        words[0] = "python"
    return " ".join(scrub(word) for word in words)


def source_state(root: Path) -> dict[str, Any]:
    """The commit of the source tree, whether it holds changes (published reports aside), and its web address.

    `commit` and `dirty` are None where git or its history is missing, as in an installed package.
    """
    top = _git(root, "rev-parse", "--show-toplevel")
    if top is None or not Path(top.strip()).is_dir() or not Path(top.strip()).samefile(root):
        return {"commit": None, "dirty": None}  # no repository, or one that merely contains our folder
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", ".", *_GENERATED)
    state: dict[str, Any] = {
        "commit": commit.strip() if commit else None,
        "dirty": None if changes is None else bool(changes.strip()),
    }
    address = _web_address(_git(root, "remote", "get-url", "origin"))
    return state | ({"repository": address} if address else {})


def _web_address(remote: str | None) -> str | None:
    """The remote without user or password, where it is on the web at all."""
    parts = urlsplit((remote or "").strip())
    if parts.scheme != "https" or not parts.hostname:
        return None
    return urlunsplit(("https", parts.hostname, parts.path.removesuffix(".git"), "", ""))


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints, or None where it fails or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def sha256_of(path: Path) -> str:
    """The file's sha256 in hexadecimal, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
