"""One of two gloo processes of `test_packed_finetuning`: python -m tests.stages.two_processes FOLDER."""

import json
import sys
from pathlib import Path

from tests.pairs import meet, part
from tests.stages.finetuning import KINDS, run


def main(folder: Path) -> None:
    rank = meet()
    for kind in KINDS:
        figures = run(kind, folder, f"two {kind}", packed=True)
        if rank == 0:
            (folder / f"two {kind}.json").write_text(json.dumps(figures))
    part()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
