"""Table 11: the hyper-parameters of pre-training, in force at a scale and in the paper.

`python -m repro.table11 --help` lists the options.
"""

from collections.abc import Sequence
from functools import partial

from reports.facts import HyperParameter
from reports.page import Page, Section
from repro.command import main
from repro.hyperparameters import FINE_TUNING
from repro.published import published
from repro.settings import beside, counts, others, run_settings
from simlm.scales import Scale

DESCRIPTION = """Table 11 of SimLM (Wang et al., ACL 2023): hyper-parameters of pre-training, read from the scale.

Nothing is trained.

Examples:
  python -m repro.table11                   those of the mini scale
  python -m repro.table11 --scale smoke     those of another
"""

NAMES = {
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
    """The paper's rows, then the settings that they do not name."""
    ours = [one for one in settings if not one.name.startswith(FINE_TUNING)]
    absent = {
        "passages": f"all of the collection {scale.collection}",
        "hardware and time": "no setting: every report lists its machine and what each stage took",
    }
    paper = published("table11").set_index("hyperparameter")
    paper.columns = ["MS MARCO", "Wikipedia"]
    return Page(
        title="Table 11: hyper-parameters of pre-training",
        scale=scale.name,
        introduction=(
            f"What is in force at this scale, on {scale.collection}, read from its configuration, beside what the "
            f"paper prints.{counts(scale)}"
        ),
        sections=[
            Section("The paper's table", beside(paper, NAMES, absent, ours)),
            Section("Settings that it does not name", others(NAMES.values(), ours)),
        ],
    )


run = partial(run_settings, "table11", table11)
"""Write the page."""

if __name__ == "__main__":
    main(run, DESCRIPTION)
