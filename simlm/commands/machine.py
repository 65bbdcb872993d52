"""This machine: what stages compute with on it, and how it is called."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from simlm.commands.origin import cpu_model, has_bfloat16, source_state
from simlm.scales.scale import BFLOAT16, FLOAT32
from simlm.workflow.resources import Choices, cores

ROOT = Path(__file__).resolve().parents[2]


def on_this_machine(choices: Choices) -> Choices:
    """Return the choices with this machine's GPUs, unless stages shall run on the CPU, or on a cluster.

    The GPUs are those that CUDA_VISIBLE_DEVICES names, all of them without it.
    """
    if choices.device == "cpu" or choices.alone or not _maybe_gpu():
        return choices
    import torch  # takes seconds: only where there may be a GPU

    if not torch.cuda.is_available():
        return choices
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return replace(choices, gpus=tuple(seen.split(",") if seen else map(str, range(torch.cuda.device_count()))))


def chosen_precision(wanted: str, usual: str, on_gpu: Callable[[], bool]) -> str:
    """Return the precision that stages compute in.

    Args:
        wanted: What the reader asked for; "auto" leaves it to the machine.
        usual: The scale's; bfloat16 only where it is fast: on a GPU, and on a processor with instructions for it.
        on_gpu: Tells whether stages compute on a GPU.
    """
    if wanted != "auto":
        return wanted
    return FLOAT32 if usual == BFLOAT16 and not has_bfloat16() and not on_gpu() else usual


def with_origin(choices: Choices) -> Choices:
    """Return the choices with the commit of the code and this processor, which manifests record."""
    state = source_state(ROOT)
    commit = f"{state['commit'] or 'unknown'}{'+changes' if state.get('dirty') else ''}"
    return replace(choices, commit=commit, hardware=cpu_model() or "unknown")


def this_machine(choices: Choices) -> str:
    """Return what stages compute on here, in words: its GPUs where they use them, its processor otherwise."""
    if not choices.gpus:
        return described([], cpu_model(), cores())
    import torch  # takes seconds: only where there is a GPU

    return described([torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())], None, None)


def described(gpus: Sequence[str], cpu: str | None, count: int | None) -> str:
    """Return a machine in words, by the names of its GPUs, or else by its processor and cores."""
    if gpus:
        return ", ".join(f"{number} x {name}" for name, number in Counter(gpus).items())
    return f"{cpu or 'unknown processor'}{f', {count} cores' if count else ''}"


def _maybe_gpu() -> bool:
    """Return whether there is a driver's device, of NVIDIA, AMD or WSL: torch, which knows, takes seconds to import."""
    devices = Path("/dev")
    return not devices.is_dir() or any(list(devices.glob(name)) for name in ("nvidia*", "kfd", "dxg"))
