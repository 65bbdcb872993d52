"""Pre-training steps: encoders of one run of SimLM and one of MLM after shares of its updates (Figure 3)."""

from fractions import Fraction

from ablations.starts import STARTS, Start
from simlm.stages.models import SHARES, EncoderStage, Pretrained
from simlm.stages.pipeline import Pipeline

CURVES = ("simlm", "mlm")
"""The starts whose runs are followed."""


def share_name(start: str, share: Fraction) -> str:
    """The name of the encoder that a start's run had after a share of its updates; of all of them, the start's own."""
    return start if share == 1 else f"{start}-{share.numerator}of{share.denominator}"


def _snapshot(start: str, share: Fraction) -> Start:
    def encoder(pipeline: Pipeline) -> EncoderStage:
        pretrained = STARTS[start](pipeline)
        assert isinstance(pretrained, Pretrained), f"{start} is no pre-training"
        return pipeline.snapshot(pretrained, share, f"{share_name(start, share)} snapshot")

    return encoder


STEPS: dict[str, Start] = {share_name(start, share): _snapshot(start, share) for start in CURVES for share in SHARES}
"""Every snapshot of both runs; their ends are the starts themselves."""
