"""Figure 3: effectiveness after Retriever1 against pre-training updates, SimLM and MLM.

`python -m repro.figure3 --help` lists the options.
"""

from fractions import Fraction

from ablations.steps import CURVES, share_name
from reports.assess import Order
from reports.facts import Curve, Curves
from repro.command import Options, main
from repro.run import run_table
from repro.table import RowSpec, Table, retriever1
from simlm.scales import Scale
from simlm.stages.models import SHARES, step_at

DESCRIPTION = """Figure 3 of SimLM (Wang et al., ACL 2023): SimLM and MLM after more and more pre-training steps.

Every point is fine-tuned as Retriever1. Each curve follows one pre-training run, whose encoder is kept on the way.

Examples:
  python -m repro.figure3                            the whole figure at mini scale
  python -m repro.figure3 --scale smoke              the same in small
  python -m repro.figure3 --rows simlm-1of8 simlm    two points
"""

LABELS = {"simlm": "SimLM", "mlm": "MLM"}
BASE = "base"
POINTS = (*SHARES, Fraction(1))


def figure3() -> Table:
    """Both runs after each share of their updates, and the model from which both start.

    The paper draws its points and prints none. What it says of them in words is that SimLM needs fewer steps: at the
    same step it is above MLM, and so reaches MLM's level earlier; and that MLM still improves at the end.
    """
    rows = [retriever1(BASE, "no further pre-training")]
    rows += [_row(start, share) for start in CURVES for share in POINTS]
    same_step = [Order(share_name("mlm", share), share_name("simlm", share), "Figure 3") for share in POINTS]
    return Table(
        name="figure3",
        title="Figure 3: pre-training steps",
        rows=rows,
        baselines=(BASE,),
        columns=(),
        orders=[*same_step, Order(share_name("mlm", SHARES[-1]), "mlm", "text on Figure 3")],
        curves=curves,
    )


def _row(start: str, share: Fraction) -> RowSpec:
    of = "all updates" if share == 1 else f"{share.numerator}/{share.denominator} of the updates"
    return retriever1(share_name(start, share), f"{LABELS[start]}, {of}")


def curves(scale: Scale) -> Curves:
    """Where the rows lie at a scale; both runs begin at the base model."""
    steps = scale.pretraining.optimisation.steps
    lines = [
        Curve(
            LABELS[start],
            [(0, BASE), *((step_at(share, steps), share_name(start, share)) for share in POINTS)],
        )
        for start in CURVES
    ]
    return Curves("pre-training updates", lines, BASE)


def run(options: Options) -> None:
    """Measure the chosen rows and write the report."""
    run_table(figure3(), options)


if __name__ == "__main__":
    main(run, DESCRIPTION)
