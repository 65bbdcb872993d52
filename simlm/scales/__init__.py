"""Scales: which collection, which model size, which hyper-parameters."""

from simlm.errors import UserError
from simlm.scales.mini import mini
from simlm.scales.scale import Scale
from simlm.scales.small import small
from simlm.scales.smoke import smoke

_SCALES = {"smoke": smoke, "mini": mini, "small": small}

NAMES = tuple(_SCALES)


def open_scale(name: str) -> Scale:
    """The scale of that name, its settings new objects; UserError for an unknown one."""
    if name not in _SCALES:
        raise UserError(f"unknown scale {name!r}: choose one of {', '.join(NAMES)}")
    return _SCALES[name]()


__all__ = ["NAMES", "Scale", "open_scale"]
