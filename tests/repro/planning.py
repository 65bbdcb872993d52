"""Stages that tables would run, by name, without running any."""

from pathlib import Path
from typing import Any

from repro.pipeline_runs import PipelineRuns
from repro.table import RowSpec, Table
from simlm.scales import open_scale
from simlm.workflow.plan import Planned, plan


def planned(
    table: Table | list[RowSpec], folder: Path, scale: str = "smoke", collection: str = ""
) -> dict[str, Planned]:
    """The stages of a table, or of rows."""

    def build(submit: Any) -> None:
        cells = PipelineRuns(open_scale(scale, collection), 0, submit)
        for row in table.rows if isinstance(table, Table) else table:
            row.run(cells)

    stages, _ = plan(build, folder)
    assert len({stage.name for stage in stages}) == len(stages), "the report lists stages by name"
    return {stage.name: stage for stage in stages}
