"""Table 11: the hyper-parameters of pre-training, in force at a scale and in the paper. Nothing is trained.

Examples:
  python -m repro.table11                   those of the mini scale
  python -m repro.table11 --scale smoke     those of another
"""

from collections.abc import Sequence
from functools import partial

from reports.model import HyperParameter
from reports.page import Page
from repro.command import main
from repro.hyperparameters import FINE_TUNING
from repro.settings_page import PaperColumns, run_settings, settings_page
from simlm.scales import Scale

SETTINGS = {
    "initialisation": "pre-training: start",
    "batch size": "pre-training: batch",
    "text length": "pre-training: tokens a passage",
    "learning rate": "pre-training: learning rate",
    "warmup steps": "pre-training: warm-up steps",
    "train steps": "pre-training: steps",
    "encoder replace rate": "pre-training: encoder replace rate",
    "decoder replace rate": "pre-training: decoder replace rate",
}
"""Our setting for each of the paper's rows that has one."""


def table11(scale: Scale, settings: Sequence[HyperParameter]) -> Page:
    """Return the page: the paper's rows, then the settings that they do not name."""
    return settings_page(
        "Table 11: hyper-parameters of pre-training",
        "table11",
        ".{counts}",
        [PaperColumns("The paper's table", {"ms_marco": "MS MARCO", "wikipedia": "Wikipedia"}, SETTINGS)],
        {
            "passages": f"all of the collection {scale.collection}",
            "hardware and time": "no setting: every report lists its machine and what each stage took",
        },
        scale,
        [one for one in settings if not one.name.startswith(FINE_TUNING)],
    )


run = partial(run_settings, "table11", table11)
"""Write the page."""

if __name__ == "__main__":
    main(run, __doc__)
