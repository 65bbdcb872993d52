"""The digest of the code that a stage runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from simlm.pretraining.objective import find_objective
from simlm.stages.models import Pretrained
from simlm.workflow.sources import sources_digest

FILES = {
    "house/__init__.py": "",
    "house/stage.py": '''
"""A stage."""
from typing import TYPE_CHECKING
import house.search
if TYPE_CHECKING:
    from house import display

def run(x: int) -> int:
    from house.loss import loss  # only when it runs

    return loss(x) + house.search.best(x)
''',
    "house/loss.py": "SCALE = 2\n\n\ndef loss(x):\n    return SCALE * x\n",
    "house/search.py": "def best(x):\n    return x\n",
    "house/display.py": "SHOWN = 1\n",
    "house/other.py": "import house.stage\n",
}
REFORMATTED = '''"""A loss."""
SCALE = 2  # double
"""How much."""
def loss(x):
    "Scale it."
    return (SCALE
        * x)
'''


@pytest.fixture
def digest(tmp_path: Path) -> Callable[..., str]:
    """Write the little house with some files changed, in a new folder each time, and return its digest."""
    made = iter(range(99))

    def of(**changed: str) -> str:
        root = tmp_path / str(next(made))
        for name, text in FILES.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(changed.get(path.stem, text), encoding="utf-8")
        return sources_digest(("house.stage",), root)

    return of


@pytest.mark.parametrize(
    "changed",
    [
        {"loss": REFORMATTED},
        {"other": "import house.stage\n\nOTHER = 1\n"},
        {"display": "SHOWN = 2\n"},
        {"stage": FILES["house/stage.py"].replace('"""A stage."""', "")},
    ],
    ids=[
        "comments, docstrings and formatting",
        "a module that it does not import",
        "a module that only type checkers import",
        "no docstring",
    ],
)
def test_what_runs_alike_has_the_same_digest(digest: Callable[..., str], changed: dict[str, str]) -> None:
    assert digest(**changed) == digest()


@pytest.mark.parametrize(
    "changed",
    [
        {"loss": FILES["house/loss.py"].replace("2", "3")},
        {"search": "def best(x):\n    return -x\n"},
        {"stage": FILES["house/stage.py"].replace("+", "-")},
        {"__init__": "import sys\n"},
    ],
    ids=["an import inside a function", "an import at the top", "the stage itself", "its package"],
)
def test_another_line_of_code_has_another_digest(digest: Callable[..., str], changed: dict[str, str]) -> None:
    assert digest(**changed) != digest()


@pytest.mark.parametrize("objective", ["replaced_lm", "ablations.objectives.condenser:Condenser"])
def test_a_pre_training_runs_the_module_that_its_objectives_name_leads_to(objective: str) -> None:
    modules = Pretrained.C(objective=objective).modules()
    assert modules == {"simlm.stages.models", find_objective(objective).__module__}
    assert sources_digest(tuple(modules)) != sources_digest(("simlm.stages.models",))
