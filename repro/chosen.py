"""A hyper-parameter of the report, and how its value was chosen, in words."""

import math
from collections.abc import Mapping, Sequence

from reports.facts import HyperParameter
from repro.trials import ALPHA, MEASURE, PRETRAINING_RATE, RATE, published_trials
from simlm.scales import Scale, questions
from simlm.scales.paper import TRAIN_QUERIES, epochs
from simlm.scales.settings import Optimisation

SIZE = "the scale's: made to fit its time"
SHARE = "a tenth of the steps"
PAPER = "the paper's"
UNTUNED = "set beforehand, not tuned; the same for every row"
WIDTH = (
    "BERT's x sqrt(768 / width): with 0.02, a narrow layer passes on too little of its input; 0.02, 0.05 and 0.1 "
    "compared on valid at mini scale, with random init's Retriever1"
)
UNDROPPED = "off: training is short, and faster without"
RELEASED = "as in the released implementation"
PUBLIC = "the paper's model, from the Hub"
EPOCHS = f"the paper's epochs, of {TRAIN_QUERIES:,} queries"
EPOCHS_OF_NQ = f"as many epochs, of two sets of {questions.TRAIN_QUESTIONS:,} questions"
FOR_NQ, FOR_MS_MARCO = " (for NQ)", " (for MS MARCO)"
"""What a cell ends in where the collection is Natural Questions: the one that its value is for."""
OF_NQ = "the paper's or the released scripts', for NQ"
BORROWED = "Table 13's for MS MARCO: nothing else is known for NQ"
TEMPERATURE = "compared with 0.03 on valid at mini scale, with SimLM's Retriever1; the same for every row"


def row(name: str, value: object, paper: object, chosen: str) -> HyperParameter:
    """A setting's value and the paper's, and how ours was chosen."""
    return HyperParameter(name, f"{value:g}" if isinstance(value, float) else str(value), str(paper), chosen)


def kept(name: str, value: object, paper: object, otherwise: str = SIZE) -> HyperParameter:
    """A setting that is the paper's wherever the scale allows."""
    return row(name, value, paper, how(value, str(paper), otherwise))


def tuned(name: str, value: object, paper: object, trials: str) -> HyperParameter:
    """A setting that trials choose, and where there are none it can still be the paper's."""
    return row(name, value, paper, how(value, str(paper), trials) if trials == UNTUNED else trials)


def how(value: object, paper: str, otherwise: str) -> str:
    """How a value was chosen that may be the paper's, or the second of what paper and released scripts have."""
    of = {FOR_NQ: OF_NQ, FOR_MS_MARCO: BORROWED}
    mark = next((mark for mark in of if paper.endswith(mark)), "")
    first, _, second = paper.removesuffix(mark).partition(" or ")
    if same(value, first):
        return of.get(mark, PAPER)
    return RELEASED if second and same(value, second) else otherwise


def steps(name: str, settings: Optimisation, paper: Mapping[str, object]) -> HyperParameter:
    """The updates of a stage of fine-tuning, which the paper counts in epochs where it does not in updates."""
    if isinstance(paper.get("train steps"), str):
        return kept(f"{name}: steps", settings.steps, paper["train steps"])
    printed = str(paper["epochs"])
    mark = FOR_NQ if printed.endswith(FOR_NQ) else ""
    count = int(printed.removesuffix(mark))
    whole, chosen = epochs(count), EPOCHS
    if mark:
        whole, chosen = questions.epochs(count, settings.batch_size), EPOCHS_OF_NQ
    return row(f"{name}: steps", settings.steps, f"{count} epochs{mark}", chosen if settings.steps == whole else SIZE)


def same(value: object, paper: object) -> bool:
    """Whether a value of ours is the one that the paper prints, however either writes a number."""
    try:
        return float(str(value)) == float(str(paper))
    except ValueError:
        return str(value) == str(paper)


def by_trials(tried: Mapping[str, Sequence[float]], setting: str) -> str:
    """How a setting that has trials was chosen."""
    if setting not in tried:
        return UNTUNED
    values = ", ".join(f"{value:g}" for value in tried[setting])
    rows = {RATE: "Retriever1 of random init, base and SimLM", ALPHA: "both distilled rows of Table 2"}[setting]
    return f"{values} tried on valid with {rows}; the best mean, one value for all"


def rates_by_trials(tried: Mapping[str, Sequence[float]]) -> str:
    """How the pre-training learning rates were chosen."""
    if PRETRAINING_RATE not in tried:
        return UNTUNED
    values = ", ".join(f"{value:g}" for value in tried[PRETRAINING_RATE])
    return f"{values} tried on valid with Retriever1 of every objective; the best of each"


def base_rate(scale: Scale) -> str:
    """How the base model's learning rate was chosen, with what came of it on valid as far as trials were kept.

    No trial of it is among the published ones, which have its Retriever1 beside random init's at the rate in force.
    """
    trials = published_trials(scale.name)
    at = trials[(trials["setting"] == RATE) & (trials["value"] == scale.retriever.optimisation.learning_rate)]
    scores = at.set_index("row")["score"]
    if not {"base", "random"} <= set(scores.index):
        return UNTUNED
    base, random = float(scores["base"]), float(scores["random"])
    rate = scale.base.optimisation.learning_rate if scale.base is not None else math.nan
    side = "below it too" if base < random else "above it" if base > random else "level with it"
    return (
        f"set beforehand; 1e-3, tried once, left base below random init on valid. With {rate:g} it is "
        f"{side}: {MEASURE} {base:.4f} against {random:.4f} on valid with Retriever1"
    )
