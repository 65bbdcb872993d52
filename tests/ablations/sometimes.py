"""An objective that fails while a test wants it to, and a command with a grid of it."""

import os
from typing import Any

from ablations import __main__ as command
from ablations.grids import GRIDS
from ablations.retriever1_runs import ENCODERS
from simlm.pretraining.mlm import MaskedLM


class Sometimes(MaskedLM):
    """MLM that raises while SIMLM_TOY_WRONG is set."""

    @classmethod
    def build(cls, *arguments: Any) -> MaskedLM:
        if os.environ.get("SIMLM_TOY_WRONG"):
            raise ValueError("the mask slipped")
        return super().build(*arguments)


if __name__ == "__main__":
    name = "tests.ablations.sometimes:Sometimes"
    ENCODERS["sometimes"] = lambda pipeline: pipeline.pretrained(
        name, "sometimes pre-training", None, pipeline.scale.pretraining
    )
    GRIDS["toy"] = ("random", "sometimes")
    GRIDS["toy again"] = ("random",)
    command.main()
