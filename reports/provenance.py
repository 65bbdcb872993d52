"""Where a report comes from, in ir_metadata form (https://www.ir-metadata.org, Breuer et al., SIGIR 2022)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reports.hardware import platform_metadata
from reports.scrub import scrub
from simlm.commands.origin import source_state

_PAPER = {
    "venue": {"name": "ACL", "year": 2023},
    "publication": {
        "doi": "https://doi.org/10.18653/v1/2023.acl-long.125",
        "arxiv": "https://arxiv.org/abs/2207.02578",
        "title": "SimLM: Pre-training with Representation Bottleneck for Dense Passage Retrieval",
    },
}


def provenance(
    *,
    tag: str,
    command: Sequence[str],
    seeds: Mapping[str, int | list[int]],
    data: Mapping[str, Any],
    method: Mapping[str, Any],
    measures: Sequence[str],
    baselines: Sequence[str],
    resources: Mapping[str, Any] | None = None,
    root: Path | None = None,
) -> dict[str, Any]:
    """The provenance of one report, as plain data without absolute paths.

    `tag` names the experiment ("table2-mini"); `command` is the command line as given; `data` is
    ir_metadata's (`test collection`, `training data`, with the collection's fingerprint); `method` its
    retrieval components and settings; `measures` and `baselines` are empty where nothing was tested;
    `resources` is what the stages cost in all. `root` is the source tree, by default the one around this
    package.
    """
    commit = source_state(root or Path(__file__).parent.parent)
    return scrub(
        {
            "schema version": "0.2",
            "tag": tag,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "actor": {"role": "reproducer"},
            "platform": platform_metadata(),
            "research goal": _PAPER | (_evaluation(measures, baselines) if measures else {}),
            "implementation": {
                "executable": {"cmd": command_line(command)},
                "source": {"lang": ["python"]} | commit,
            },
            "method": {"automatic": True, "score ties": "smaller passage index", "seeds": dict(seeds)} | dict(method),
            "data": dict(data),
            "resources": dict(resources or {}),
        }
    )


def _evaluation(measures: Sequence[str], baselines: Sequence[str]) -> dict[str, Any]:
    return {
        "evaluation": {
            "reported measures": list(measures),
            "baseline": list(baselines),
            "significance test": [{"name": "t-test, paired, two-sided", "correction method": "Holm"}],
        }
    }


def command_line(command: Sequence[str]) -> str:
    """The command as another reader would type it: `python` for the interpreter, no absolute path."""
    words = list(command)
    if words and Path(words[0]).name.startswith("python"):
        words[0] = "python"
    return " ".join(scrub(word) for word in words)
