"""Names of the stages of several seeds."""

from simlm.stages.pipeline import Submit
from simlm.workflow.stage import Stage


def naming_seed(submit: Submit, seed: int) -> Submit:
    """Return a ``submit`` that gives each stage the name it has with this seed."""

    def named(stage: Stage, name: str) -> object:
        return submit(stage, with_seed(name, seed))

    return named


def with_seed(name: str, seed: int) -> str:
    """Return the name of a stage that a seed has a part in; what does not depend on it keeps the name of seed 0."""
    return f"{name}, seed {seed}" if seed else name


def without_seed(name: str) -> str:
    """Return the name that the stage has with seed 0."""
    return name.rsplit(", seed ", 1)[0]
