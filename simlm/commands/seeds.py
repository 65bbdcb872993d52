"""Names of the stages of several seeds."""

from simlm.stages.pipeline import Submit
from simlm.workflow.stage import Stage


def naming_seed(submit: Submit, seed: int) -> Submit:
    """Return ``submit`` with the seed added to the names that it is given."""

    def named(stage: Stage, name: str) -> object:
        return submit(stage, with_seed(name, seed))

    return named


def with_seed(name: str, seed: int) -> str:
    """Return the name of a stage with a seed, which seed 0 leaves as it is."""
    return f"{name}, seed {seed}" if seed else name


def without_seed(name: str) -> str:
    """Return the name that the stage has with seed 0."""
    return name.rsplit(", seed ", 1)[0]
