"""Where a result was made: the commit of the code and the processor, as manifests and reports record them."""

import platform
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_GENERATED = tuple(
    f":(exclude,glob)reports/{name}"
    for name in ("*/*.md", "*/*.json", "*/*.svg", "*/seeds/*.json", "growth.*", "performance.*", "performance-cpu.*")
)
"""Published reports: writing one does not change the code that the next one comes from."""


def source_state(root: Path) -> dict[str, Any]:
    """Return the commit of a source tree, whether it has changes (published reports aside), and its web address.

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
    """Return a remote's address without user and password, None where it is not on the web."""
    parts = urlsplit((remote or "").strip())
    if parts.scheme != "https" or not parts.hostname:
        return None
    return urlunsplit(("https", parts.hostname, parts.path.removesuffix(".git"), "", ""))


def _git(root: Path, *arguments: str) -> str | None:
    """Return what git prints, or None where it fails or is missing."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def cpu_model() -> str:
    """Return the processor's name, "" where the system does not tell."""
    return _cpu_field("model name") or platform.processor()


def has_bfloat16() -> bool:
    """Return whether the processor multiplies matrices of bfloat16 by instructions of its own."""
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint((_cpu_field("flags") or _cpu_field("Features")).split())


def _cpu_field(name: str) -> str:
    """Return what Linux says of the first processor, "" where it does not or is another system."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith(name):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return ""
