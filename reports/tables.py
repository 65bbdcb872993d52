"""The tables of a report, as Markdown."""

from collections.abc import Sequence
from typing import Any

from reports.facts import StageFacts
from reports.markdown import NONE, count, duration, escape, number, probability, signed, size, table
from reports.model import CheckedOrder, Report, Row
from reports.page import Cell, Link, Section, shown


def effectiveness(report: Report) -> str:
    """Return the table itself, one for each group: measured, differences from baselines, and the paper's figures."""
    noted = [row.key for row in report.rows if row.note]
    return "\n\n".join(_effectiveness(section, noted) for section in report.by_group())


def _effectiveness(report: Report, noted: list[str]) -> str:
    place = f"{escape(report.collection.name)} {escape(report.collection.split)}, {escape(report.scale)}"
    first, *others = report.measures
    heads = ["row", f"{place}<br>{first} [95 %]", *(f"{place}<br>{measure}" for measure in others)]
    heads += [f"Δ {first}<br>to {escape(report.row(key).label)}" for key in report.baselines]
    lines = []
    for row in report.rows:
        label = escape(row.label)
        if row.measured is None:
            label += " (paper only)"
        if row.note:
            label += f"<sup>{noted.index(row.key) + 1}</sup>"
        lines.append([label, *_measured(report, row), *_published(report, row)])
    return table([*heads, *(f"paper, {column.place}<br>{column.figure}" for column in report.columns)], lines)


def _measured(report: Report, row: Row) -> list[str]:
    if row.measured is None:
        return [NONE] * (len(report.measures) + len(report.baselines))
    first, *others = (row.measured[measure] for measure in report.measures)
    cells = [f"{first.mean:.4f} [{first.low:.3f}, {first.high:.3f}]"]
    cells += [number(estimate.mean) for estimate in others]
    for baseline in report.baselines:
        comparison = report.comparison(row.key, baseline, report.measures[0])
        cells.append(NONE if comparison is None else signed(comparison.difference) + _star(comparison.significant))
    return cells


def _star(significant: bool) -> str:
    return r"\*" if significant else ""


def _published(report: Report, row: Row) -> list[str]:
    published = row.published or {}
    return [number(published.get(column.key), 1) for column in report.columns]


def claims(report: Report) -> str:
    """Return the paper's orders with their verdicts."""
    heads = ["the paper has", "above", "in", "paper", "here, difference [95 %]", "p (Holm)", "effect ratio", "verdict"]
    lines = []
    for claim in report.claims:
        found = claim.comparison
        lines.append(
            [
                escape(report.row(claim.higher).label),
                escape(report.row(claim.lower).label),
                escape(claim.source),
                _both(claim),
                f"{signed(found.difference)} [{signed(found.low, 3)}, {signed(found.high, 3)}]",
                probability(found.p_holm),
                number(claim.effect_ratio, 2),
                f"**{claim.verdict}**",
            ]
        )
    return table(heads, lines, "lllrrrrl")


def _both(claim: CheckedOrder) -> str:
    if claim.published_higher is None or claim.published_lower is None:
        return NONE
    return f"{claim.published_higher:.1f} over {claim.published_lower:.1f}"


def marks(report: Report) -> str:
    """Return the measured figures of published checkpoints beside the printed ones."""
    lines = [
        [
            escape(report.row(one.row).label),
            escape(report.head_of(one)),
            number(one.measured, 1),
            number(one.published, 1),
            signed(one.difference, 1),
            f"**{one.verdict}**",
        ]
        for one in report.marks
    ]
    return table(["row", "figure", "measured", "published", "difference", "mark"], lines, "llrrrl")


def intervals(report: Report) -> str:
    """Return every measured mean with its interval, a table for each group."""
    return "\n\n".join(_intervals(section) for section in report.by_group())


def _intervals(report: Report) -> str:
    lines = []
    for row in report.measured_rows():
        estimates = [(row.measured or {})[measure] for measure in report.measures]
        lines.append([escape(row.label), *(f"{e.mean:.4f} [{e.low:.4f}, {e.high:.4f}]" for e in estimates)])
    return table(["row", *report.measures], lines)


def comparisons(report: Report) -> str:
    """Return every test against a baseline."""
    lines = []
    for found in report.comparisons:
        lines.append(
            [
                f"{escape(report.row(found.row).label)} − {escape(report.row(found.baseline).label)}",
                escape(found.measure),
                signed(found.difference),
                f"[{signed(found.low)}, {signed(found.high)}]",
                probability(found.p),
                probability(found.p_holm) + _star(found.significant),
            ]
        )
    return table(["difference", "measure", "mean", "95 %", "p", "p (Holm)"], lines, "llrrrr")


def stages(made: Sequence[StageFacts]) -> str:
    """Return the pipeline's stages with their cost."""
    heads = ["stage", "identifier", "wall time", "tokens/s", "peak memory", "energy", "attempts", "manifest", "run"]
    lines = []
    for stage in made:
        lines.append(
            [
                escape(stage.name),
                f"`{stage.identifier[:12]}`",
                duration(stage.seconds),
                count(stage.tokens_per_second),
                size(stage.peak_memory_bytes),
                NONE if stage.energy_joules is None else f"{stage.energy_joules / 1000:.1f} kJ",
                str(stage.attempts),
                escape(stage.state),
                "reused" if stage.reused else "now",
            ]
        )
    return table(heads, lines, "llrrrrrll")


def total_cost(made: Sequence[StageFacts]) -> str:
    """Return in words what all stages took together, and the largest process."""
    seconds = sum(stage.seconds or 0 for stage in made)
    peaks = [stage.peak_memory_bytes for stage in made if stage.peak_memory_bytes is not None]
    energies = [stage.energy_joules for stage in made if stage.energy_joules is not None]
    took = f"All stages together took {duration(seconds)}"
    took += f"; the largest single process held {size(max(peaks))}, and two can run at once." if peaks else "."
    if not energies:
        return f"{took} Energy could not be read on this machine."
    where = "" if len(energies) == len(made) else f", counting the {len(energies)} stages that could read it"
    shared = "by counters of the whole machine, so that stages which overlap are counted in each other"
    return f"{took} Energy: at most {sum(energies) / 1000:.1f} kJ, {shared}{where}."


def efficiency(report: Report) -> str:
    """Return index size, latency and time of every measured row."""
    lines = [
        [
            escape(row.label),
            size(row.index_bytes),
            NONE if row.latency_ms is None else f"{row.latency_ms:.3g} ms",
            duration(row.seconds),
        ]
        for row in report.measured_rows()
    ]
    return table(["row", "index", "latency a query", "time of all stages it stands on"], lines)


def hyperparameters(report: Report) -> str:
    """Return the settings in force beside the paper's."""
    lines = [
        [escape(h.name), escape(h.value), escape(h.paper) or NONE, escape(h.chosen)] for h in report.hyperparameters
    ]
    return table(["setting", "here", "paper", "how chosen"], lines, "llll")


def tuning(report: Report) -> str:
    """Return all trials on the validation split."""
    lines = []
    for row in report.tuning:
        for trial in row.trials:
            settings = ", ".join(f"{name} {value}" for name, value in trial.settings.items())
            chosen = "in force" if trial.chosen else ""
            cells = [report.row(row.row).label, settings, row.measure]
            lines.append([*(escape(cell) for cell in cells), number(trial.score), chosen])
    return table(["row", "setting", "measure on valid", "score", ""], lines, "lllrl")


def facts(report: Report) -> str:
    """Return the counts of the collection, and those of the groups' collections under their names."""
    lines = []
    facts = report.collection.facts | {group.collection.name: group.collection.facts for group in report.groups}
    for name, value in _flatten(facts):
        shown = count(value) if isinstance(value, int) and not isinstance(value, bool) else escape(_plain(value))
        lines.append([escape(name), shown])
    return table(["fact", "value"], lines)


def provenance(tree: dict[str, Any]) -> str:
    """Return the ir_metadata tree, a line for each leaf; what made the stages has a table of its own."""
    method = {name: value for name, value in tree.get("method", {}).items() if name != "stages"}
    leaves = _flatten(tree | ({"method": method} if method else {}))
    return table(["field", "value"], [[escape(name), escape(_plain(value))] for name, value in leaves], "ll")


def identities(tree: dict[str, Any]) -> str:
    """Return what made each stage, "" for no stages. Digests are cut to 12 digits."""
    stages = tree.get("method", {}).get("stages", {})
    heads = ["stage", "class, version", "settings", "data", "outputs", "code", "commit"]
    rows = []
    for name, stage in stages.items():
        made_by = f"{stage['class']} {stage['version']}" if "class" in stage else NONE
        digests = [stage["identifier"]], stage.get("data", []), [stage["outputs"]], [stage.get("sources", "")]
        short = [" ".join(f"`{digest[:12]}`" for digest in one if digest) or NONE for one in digests]
        rows.append([escape(name), escape(made_by), *short, f"`{_short_commit(stage['commit'])}`"])
    return table(heads, rows, "l" * len(heads)) if rows else ""


def _short_commit(commit: str) -> str:
    """Return the first 12 digits of a commit, with "+changes" where there were any."""
    number, plus, changes = commit.partition("+")
    return f"{number[:12]}{plus}{changes}"


def lines(section: Section) -> str:
    """Return the table of a page's section, "" for one without lines."""
    if not section.rows:
        return ""
    cells = [[_linked(row[head]) for head in section.heads] for row in section.rows]
    align = "".join("r" if section.is_numeric(head) else "l" for head in section.heads)
    return table([escape(head) for head in section.heads], cells, align)


def _linked(cell: Cell) -> str:
    text = escape(shown(cell))
    return f"[{text}]({cell.target})" if isinstance(cell, Link) else text


def runs(report: Report) -> str:
    """Return the run files with their checksums."""
    lines = [
        [escape(row.label), escape(kind), escape(file.path), f"`{file.sha256}`"]
        for row in report.measured_rows()
        for kind, file in (("run", row.run), ("per query", row.per_query))
        if file is not None
    ]
    return table(["row", "file", "path in the results folder", "sha256"], lines, "llll")


def _flatten(tree: Any, name: str = "") -> list[tuple[str, Any]]:
    """Return the leaves of nested dicts, each with its names joined by a middle dot."""
    if not isinstance(tree, dict):
        return [(name, tree)]
    leaves = []
    for key, value in tree.items():
        path = [name] if name else []
        leaves += _flatten(value, " · ".join([*path, str(key).replace("_", " ")]))
    return leaves


def _plain(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_plain(item)}" for key, item in value.items())
    return str(value)
