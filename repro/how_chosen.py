"""One hyper-parameter of the report: our value, the paper's, and in words how ours was chosen."""

from collections.abc import Collection, Mapping, Sequence

from reports.facts import HyperParameter
from reports.markdown import listed
from repro.trials import ROW_NAMES, SETTINGS
from simlm.scales import paper_nq
from simlm.scales.paper import TRAIN_QUERIES, epochs
from simlm.scales.settings import Optimisation

SIZE = "the scale's: made to fit its time"
SHARE = "a tenth of the steps"
THE_PAPERS = "the paper's"
UNTUNED = "set beforehand, not tuned; the same for every row"
WIDTH = "BERT's x sqrt(768 / width): with 0.02, a narrow layer passes on too little of its input"
UNDROPPED = "off: training is short, and faster without"
RELEASED = "as in the released implementation"
OPEN = "open in the paper; chosen here"
PUBLIC = "the paper's model, from the Hub"
OTHER_PUBLIC = "a public model of BERT's kind that a Python package carries"
EPOCHS = f"the paper's epochs, of {TRAIN_QUERIES:,} queries"
EPOCHS_OF_NQ = f"as many epochs, of two sets of {paper_nq.TRAIN_QUESTIONS:,} questions"
FOR_NQ, FOR_MS_MARCO = " (for NQ)", " (for MS MARCO)"
"""How a printed value ends where the collection is Natural Questions: which collection it is for."""
OF_NQ = "the paper's or the released scripts', for NQ"
BORROWED = "Table 13's for MS MARCO: nothing else is known for NQ"


def row(name: str, value: object, paper: object, chosen: str) -> HyperParameter:
    """Return a setting's value and the paper's, with how ours was chosen."""
    return HyperParameter(name, f"{value:g}" if isinstance(value, float) else str(value), str(paper), chosen)


def kept(name: str, value: object, paper: object, otherwise: str = SIZE) -> HyperParameter:
    """Return a setting that has the paper's value wherever the scale allows; ``otherwise`` says how it was chosen."""
    return row(name, value, paper, how(value, str(paper), otherwise))


def tuned(name: str, value: object, paper: object, trials: str) -> HyperParameter:
    """Return a setting that trials choose; without trials it can still have the paper's value."""
    return row(name, value, paper, how(value, str(paper), trials) if trials == UNTUNED else trials)


def how(value: object, paper: str, otherwise: str) -> str:
    """Say how a value was chosen.

    Args:
        value: The value in force.
        paper: What the paper prints; "A or B" where paper and released scripts differ.
        otherwise: What to say if the value is neither.
    """
    of = {FOR_NQ: OF_NQ, FOR_MS_MARCO: BORROWED}
    mark = next((mark for mark in of if paper.endswith(mark)), "")
    first, _, second = paper.removesuffix(mark).partition(" or ")
    if same(value, first):
        return of.get(mark, THE_PAPERS)
    return RELEASED if second and same(value, second) else otherwise


def steps(name: str, settings: Optimisation, paper: Mapping[str, object], otherwise: str = SIZE) -> HyperParameter:
    """Return the updates of a stage of fine-tuning, which the paper counts in epochs or in updates."""
    if isinstance(paper.get("train steps"), str):
        return kept(f"{name}: steps", settings.steps, paper["train steps"], otherwise)
    printed = str(paper["epochs"])
    mark = FOR_NQ if printed.endswith(FOR_NQ) else ""
    count = int(printed.removesuffix(mark))
    whole, chosen = epochs(count), EPOCHS
    if mark:
        whole, chosen = paper_nq.epochs(count, settings.batch_size), EPOCHS_OF_NQ
    return row(
        f"{name}: steps", settings.steps, f"{count} epochs{mark}", chosen if settings.steps == whole else otherwise
    )


def same(value: object, paper: object) -> bool:
    """Say whether a value is the one that the paper prints, however the number is written."""
    try:
        return float(str(value)) == float(str(paper))
    except ValueError:
        return str(value) == str(paper)


def in_words(tried: Mapping[str, Sequence[float]], left_out: Collection[str]) -> dict[str, str]:
    """Say of each setting with which values, and with which rows, it was tried.

    Args:
        tried: The values of each setting that were tried on valid.
        left_out: The keys of the rows that the scale, and so its trials, leaves out.
    """
    said = {}
    for name, found in tried.items():
        setting, values = SETTINGS[name], [f"{value:g}" for value in found]
        what = f"{', '.join(values[:-1])} and {values[-1]}{f' {name}' if setting.without else ''}"
        rows = listed([label for row, label in ROW_NAMES.items() if row in setting.rows and row not in left_out])
        said[name] = f"{what} tried on valid with {setting.tried_with.format(rows=rows)}; {setting.chosen}"
    return said


def by_trials(tried: Mapping[str, str], *names: str, otherwise: str = UNTUNED) -> str:
    """Say how a value was chosen, by those of some settings that were tried (`in_words`); ``otherwise`` if none was."""
    return ". ".join(tried[name] for name in names if name in tried) or otherwise
