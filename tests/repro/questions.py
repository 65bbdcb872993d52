"""Natural Questions' own training in small, as a command: `python -m tests.repro.questions RESULTS FILE`.

All stages below the distilled SimLM; prints their folders by name, as JSON, in its last line.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from repro.pipeline_runs import PipelineRuns
from simlm.commands.run_stages import TerminalDisplay, run_stages
from simlm.scales import Scale, open_scale
from simlm.scales.paper_nq import natural_questions
from simlm.scales.settings import varied
from simlm.workflow.launchers import LocalLauncher
from simlm.workflow.resources import Choices
from simlm.workflow.stage import Stage

DEPTH = 12


def scale(questions: str) -> Scale:
    """NQ's settings around smoke's models, with few updates, in pieces that the replica can give."""
    whole = natural_questions(open_scale("smoke", f"nq:{questions}"))

    def brief(settings: Any, **changes: Any) -> Any:
        optimisation = varied(settings.optimisation, steps=4, batch_size=4, warmup_steps=1)
        lists = varied(settings.negatives, depth=DEPTH, total=DEPTH)
        return varied(settings, optimisation=optimisation, negatives=lists, passages_per_query=4, **changes)

    return replace(
        whole,
        vocabulary=120,
        pretraining=varied(whole.pretraining, optimisation=open_scale("smoke").pretraining.optimisation),
        retriever=brief(whole.retriever, passage_length=32, rising=2),
        distillation=brief(whole.distillation, passage_length=32, rising=2, evaluations=2),
        reranker=brief(whole.reranker, max_length=48, kept_passages=3, evaluations=2),
        search=varied(whole.search, evaluation_depth=20, mining_depth=20),
    )


def main(results: Path, questions: str) -> None:
    """Make the stages."""

    def build(submit: Any) -> Stage:
        cells = PipelineRuns(scale(questions), 0, submit)
        return cells.answered(cells.distilled("simlm"), "distilled")

    stages, _ = run_stages(build, results, TerminalDisplay(), LocalLauncher(Choices("cpu")))
    print(json.dumps({stage.name: str(stage.job) for stage in stages}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
