"""The one place that imports ir_datasets, once its home is settled.

ir_datasets makes a folder under HOME as soon as it is imported, and fails where it cannot.
"""

import importlib
import os
import tempfile
from pathlib import Path
from typing import Any


def settle_home() -> None:
    """Points IR_DATASETS_HOME at a temporary folder when it is not set and HOME cannot be written.

    Our collections keep nothing there. Those that ir_datasets downloads do: whoever wants them under an
    unwritable HOME sets IR_DATASETS_HOME.
    """
    if "IR_DATASETS_HOME" in os.environ:
        return
    try:
        home = Path.home() / ".ir_datasets"
        home.mkdir(exist_ok=True)  # HOME itself is not ours to make
        with tempfile.TemporaryFile(dir=home):
            pass
    except (OSError, RuntimeError):
        os.environ["IR_DATASETS_HOME"] = str(Path(tempfile.gettempdir()) / f"ir_datasets-{os.getuid()}")


settle_home()
ir_datasets: Any = importlib.import_module("ir_datasets")
