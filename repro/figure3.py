"""Figure 3: effectiveness after Retriever1 against the updates of pre-training, SimLM and MLM.

Each curve follows one pre-training run, whose encoder is kept on the way. Every point is fine-tuned as Retriever1.
"""

from fractions import Fraction

from ablations.starts import FOLLOWED, share_name
from reports.assess import Order
from reports.facts import Curve, Curves
from repro.run import table_command
from repro.table import RowSpec, Table, retriever1
from simlm.scales import Scale
from simlm.stages.models import SHARES, step_at

LABELS = {"simlm": "SimLM", "mlm": "MLM"}
BASE = "base"
POINTS = (*SHARES, Fraction(1))
"""The shares of a run's updates after which its encoder is a row."""


def figure3() -> Table:
    """Return both runs after each share of their updates, and the model from which both start.

    The paper draws its points and prints none. What it says of them in words is that SimLM needs fewer steps: at the
    same step it is above MLM, and so reaches MLM's level earlier; and that MLM still improves at the end.
    """
    same_step = [Order(share_name("mlm", share), share_name("simlm", share), "Figure 3") for share in POINTS]
    return Table(
        name="figure3",
        title="Figure 3: pre-training steps",
        rows=[
            retriever1(BASE, "no further pre-training"),
            *(_row(start, share) for start in FOLLOWED for share in POINTS),
        ],
        baselines=(BASE,),
        columns=(),
        orders=[*same_step, Order(share_name("mlm", SHARES[-1]), "mlm", "text on Figure 3")],
        curves=curves,
    )


def _row(start: str, share: Fraction) -> RowSpec:
    of = "all updates" if share == 1 else f"{share.numerator}/{share.denominator} of the updates"
    return retriever1(share_name(start, share), f"{LABELS[start]}, {of}")


def curves(scale: Scale) -> Curves:
    """Return the update at which each row lies at a scale; both runs begin at the base model."""
    steps = scale.pretraining.optimisation.steps
    lines = []
    for start in FOLLOWED:
        points = [(step_at(share, steps), share_name(start, share)) for share in POINTS]
        lines.append(Curve(LABELS[start], [(0, BASE), *points]))
    return Curves("pre-training updates", lines, BASE)


if __name__ == "__main__":
    table_command(figure3(), __doc__)
