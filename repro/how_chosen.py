"""One hyper-parameter of the report: our value, the paper's, and in words how ours was chosen."""

from collections.abc import Mapping, Sequence

from reports.facts import HyperParameter
from repro.trials import ALPHA, PRETRAINING_RATE, RATE
from simlm.scales import paper_nq
from simlm.scales.paper import TRAIN_QUERIES, epochs
from simlm.scales.settings import Optimisation

SIZE = "the scale's: made to fit its time"
SHARE = "a tenth of the steps"
THE_PAPERS = "the paper's"
UNTUNED = "set beforehand, not tuned; the same for every row"
WIDTH = (
    "BERT's x sqrt(768 / width): with 0.02, a narrow layer passes on too little of its input; 0.02, 0.05 and 0.1 "
    "compared on valid at mini scale, with random init's Retriever1"
)
UNDROPPED = "off: training is short, and faster without"
NOISELESS = "off: with 0.1 the loss stayed at chance for all of the updates; without, it left it after some 75 updates"
RELEASED = "as in the released implementation"
OPEN = "open in the paper; chosen here"
PUBLIC = "the paper's model, from the Hub"
EPOCHS = f"the paper's epochs, of {TRAIN_QUERIES:,} queries"
EPOCHS_OF_NQ = f"as many epochs, of two sets of {paper_nq.TRAIN_QUESTIONS:,} questions"
FOR_NQ, FOR_MS_MARCO = " (for NQ)", " (for MS MARCO)"
"""How a printed value ends where the collection is Natural Questions: which collection it is for."""
OF_NQ = "the paper's or the released scripts', for NQ"
BORROWED = "Table 13's for MS MARCO: nothing else is known for NQ"
TEMPERATURE = "compared with 0.03 on valid at mini scale, with SimLM's Retriever1; the same for every row"


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


def steps(name: str, settings: Optimisation, paper: Mapping[str, object]) -> HyperParameter:
    """Return the updates of a stage of fine-tuning, which the paper counts in epochs or in updates."""
    if isinstance(paper.get("train steps"), str):
        return kept(f"{name}: steps", settings.steps, paper["train steps"])
    printed = str(paper["epochs"])
    mark = FOR_NQ if printed.endswith(FOR_NQ) else ""
    count = int(printed.removesuffix(mark))
    whole, chosen = epochs(count), EPOCHS
    if mark:
        whole, chosen = paper_nq.epochs(count, settings.batch_size), EPOCHS_OF_NQ
    return row(f"{name}: steps", settings.steps, f"{count} epochs{mark}", chosen if settings.steps == whole else SIZE)


def same(value: object, paper: object) -> bool:
    """Say whether a value is the one that the paper prints, however the number is written."""
    try:
        return float(str(value)) == float(str(paper))
    except ValueError:
        return str(value) == str(paper)


def by_trials(tried: Mapping[str, Sequence[float]], setting: str) -> str:
    """Say how a setting was chosen, by the values that were tried."""
    if setting not in tried:
        return UNTUNED
    values = ", ".join(f"{value:g}" for value in tried[setting])
    rows = {RATE: "Retriever1 of random init, base and SimLM", ALPHA: "both distilled rows of Table 2"}[setting]
    return f"{values} tried on valid with {rows}; the best mean, one value for all"


def rates_by_trials(tried: Mapping[str, Sequence[float]]) -> str:
    """Say how the pre-training learning rates were chosen, by the values that were tried."""
    if PRETRAINING_RATE not in tried:
        return UNTUNED
    values = ", ".join(f"{value:g}" for value in tried[PRETRAINING_RATE])
    return f"{values} tried on valid with Retriever1 of every objective; the best of each"


def by_trainings(tried: Mapping[str, Sequence[float]], *settings: str) -> str:
    """Say that a start was tried with and without the trainings that some settings of `repro.trials` count."""
    values = [f"{' and '.join(f'{value:g}' for value in tried[one])} {one}" for one in settings if one in tried]
    return f"{'; '.join(values)} tried on valid with Retriever1" if values else UNTUNED
