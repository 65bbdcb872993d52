"""Scales: which collection, which model size, which hyper-parameters."""

import os

from simlm.errors import UserError
from simlm.scales.mini import mini
from simlm.scales.scale import Scale
from simlm.scales.small import small
from simlm.scales.smoke import smoke

_SCALES = {"smoke": smoke, "mini": mini, "small": small}

NAMES = tuple(_SCALES)
CHOSEN = "SIMLM_SCALE"
"""Set by commands for the stages' processes, which know their settings and not which scale these are of."""


def settings_file() -> str:
    """Where a user finds the settings of the scale that runs, below the repository's root."""
    name = os.environ.get(CHOSEN, "")
    return f"simlm/scales/{name}.py" if name in NAMES else "simlm/scales"


def open_scale(name: str) -> Scale:
    """The scale of that name, its settings new objects; UserError for an unknown one."""
    if name not in _SCALES:
        raise UserError(f"unknown scale {name!r}: choose one of {', '.join(NAMES)}")
    return _SCALES[name]()


__all__ = ["CHOSEN", "NAMES", "Scale", "open_scale", "settings_file"]
