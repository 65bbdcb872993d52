"""The machine and the software of an experiment, as `platform` of ir_metadata."""

import contextlib
import importlib.metadata
import logging
import os
import platform
import re
import sys
from typing import Any

from simlm.commands.origin import cpu_model

DISTRIBUTION = "simlm-repro"
_LOG = logging.getLogger(__name__)
_GIB = 1 << 30


def platform_metadata() -> dict[str, Any]:
    """Return hardware, operating system and versions of libraries; what cannot be read is left out."""
    info = _tirex_info()
    cpu = {
        "model": info.get("CPU_MODEL_NAME") or cpu_model(),
        "architecture": platform.machine(),
        "operation mode": platform.architecture()[0].replace("bit", "-bit"),
        "number of cores": _cores(),
    }
    hardware: dict[str, Any] = {"cpu": {name: value for name, value in cpu.items() if value}}
    memory = _memory_bytes()
    if memory:
        hardware["ram"] = f"{memory / _GIB:.1f} GiB"
    gpus = _gpus()
    if gpus:
        hardware["gpu"] = gpus
    system = {
        "kernel": f"{platform.system()} {platform.release()}",
        "distribution": info.get("OS_NAME") or platform.platform(terse=True),
    }
    libraries = software_versions()
    toolkits = [
        library for library in libraries if library.split("==")[0] in {"pyserini", "faiss-cpu", "faiss-gpu-cu12"}
    ]
    software: dict[str, Any] = {"python": platform.python_version(), "libraries": {"python": libraries}}
    if toolkits:
        software["retrieval toolkit"] = toolkits
    return {"hardware": hardware, "operating system": system, "software": software}


def software_versions() -> list[str]:
    """Return `name==version` of each direct dependency of this project that is installed, sorted.

    Those for developers (the extras test and dev) are left out. The list is empty where the project runs without
    having been installed.
    """
    versions = {}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for requirement in importlib.metadata.requires(DISTRIBUTION) or []:
            name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")
            if not re.search(r"extra == ['\"](test|dev)['\"]", requirement):
                with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # an extra that is not installed
                    versions[name] = importlib.metadata.version(name)
    return [f"{name}=={versions[name]}" for name in sorted(versions)]


def _tirex_info() -> dict[str, str]:
    """Return the names of processor and system, which TIREx Tracker knows better than Python.

    It is asked for these two alone: otherwise it collects paths and the list of all installed packages.
    """
    try:
        from tirex_tracker import Measure, fetch_info

        found = fetch_info([Measure.CPU_MODEL_NAME, Measure.OS_NAME])
    except Exception as error:  # a native library: whatever it does on an unusual machine, the report is written
        _LOG.debug("tirex_tracker could not be asked: %s", error)
        return {}
    return {measure.name: _text(entry.value) for measure, entry in found.items()}


def _text(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return "" if text == "null" else text.strip().strip('"')


def _cores() -> int | None:
    """Return how many cores this process may use: in a container fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _memory_bytes() -> int | None:
    try:
        import psutil

        return int(psutil.virtual_memory().total)
    except (ImportError, OSError):
        return None


def _gpus() -> list[dict[str, Any]]:
    """Return the CUDA devices, where torch has been imported: importing it for this alone would take seconds."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    devices = (torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count()))
    return [{"architecture": device.name, "ram": f"{device.total_memory / _GIB:.1f} GiB"} for device in devices]
