"""What a command tells the stages' processes of this machine, through their environment."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from simlm.commands.origin import cpu_model, source_state
from simlm.workflow.resources import DEVICE, cores, gpus_of_slots

ROOT = Path(__file__).resolve().parents[2]


def announce() -> None:
    """What manifests shall record."""
    state = source_state(ROOT)
    os.environ["SIMLM_COMMIT"] = f"{state['commit'] or 'unknown'}{'+changes' if state.get('dirty') else ''}"
    os.environ["SIMLM_HARDWARE"] = cpu_model() or "unknown"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def choose_gpus() -> None:
    """One slot a GPU: their numbers, for the stages' processes."""
    if os.environ.get(DEVICE) == "cpu" or "SIMLM_GPUS" in os.environ or not _maybe_gpu():
        return
    import torch

    if torch.cuda.is_available():
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        numbers = seen.split(",") if seen else [str(i) for i in range(torch.cuda.device_count())]
        os.environ["SIMLM_GPUS"] = ",".join(numbers)


def this_machine() -> str:
    """What this machine computes on, in words: its GPUs where stages use them, its processor otherwise."""
    if not gpus_of_slots():
        return described([], cpu_model(), cores())
    import torch

    return described([torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())], None, None)


def described(gpus: Sequence[str], cpu: str | None, count: int | None) -> str:
    """A machine in words, by the names of its GPUs, or else by its processor and cores."""
    if gpus:
        return ", ".join(f"{number} x {name}" for name, number in Counter(gpus).items())
    return f"{cpu or 'unknown processor'}{f', {count} cores' if count else ''}"


def _maybe_gpu() -> bool:
    """Whether there is a driver's device, of NVIDIA, AMD or WSL: torch, which knows, takes seconds to import."""
    devices = Path("/dev")
    return not devices.is_dir() or any(list(devices.glob(name)) for name in ("nvidia*", "kfd", "dxg"))
