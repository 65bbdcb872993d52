"""What a retriever starts from: the cells of "does further pre-training help?" (Tables 2 and 7)."""

from collections.abc import Callable

from simlm.stages.models import EncoderStage
from simlm.stages.pipeline import Pipeline

STARTS: dict[str, Callable[[Pipeline], EncoderStage]] = {
    "random": lambda pipeline: pipeline.random,
    "base": lambda pipeline: pipeline.base,
    "simlm": lambda pipeline: pipeline.simlm,
}
"""Fresh weights, no further pre-training, and SimLM's."""
