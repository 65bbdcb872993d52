"""Check that the code which made each published report is unchanged: `python -m reports.check_published`.

A report's JSON twin names the commit it was made from (in its provenance: implementation.source.commit).
Since then only generated reports may have changed, and README.md between the markers that quote one.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from simlm.errors import UserError

# README quotes a report between <!-- report: begin --> and <!-- report: end -->.
QUOTE = re.compile(r"(<!-- report: begin -->).*?(<!-- report: end -->)", re.DOTALL)

GENERATED = re.compile(r"reports/(?:(?:smoke|mini|small|paper)/|(?:growth|performance|performance-cpu)\.(?:md|json)$)")
"""The files below reports/ that commands write; the others are code."""


def source_of(report: Path) -> str:
    """Return the commit (40 hexadecimal digits) that made a report's JSON twin.

    Raises UserError when the file is no report, names no commit, or was made from uncommitted changes.
    """
    try:
        provenance = json.loads(report.read_text(encoding="utf-8"))["provenance"]
        source = provenance["implementation"]["source"]
        commit = str(source["commit"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{report}: no commit at provenance.implementation.source.commit ({error!r}); publish it again"
        ) from error
    if not re.fullmatch("[0-9a-f]{40}", commit):
        raise UserError(f"{report}: {commit!r} is no commit; publish it again from a git clone")
    if source.get("dirty") is not False:
        raise UserError(f"{report}: not known to be made from committed code alone; commit it and publish it again")
    _check_stages(report, provenance, commit)
    return commit


def _check_stages(report: Path, provenance: dict[str, Any], commit: str) -> None:
    """Every stage has to come from the report's own commit: one of another commit was not made afresh."""
    stages = provenance.get("method", {}).get("stages", {})
    for name, stage in stages.items():
        if stage.get("commit") != commit:
            raise UserError(
                f"{report}: its stage {name!r} was made by {stage.get('commit')}, not by {commit}; "
                "publish it again from an empty results folder"
            )


def changed_since(commit: str, report: Path, root: Path) -> list[str]:
    """Return the files that differ between a report's commit and HEAD and should not, relative to `root`.

    `root` is the repository's top folder. Raises UserError when the repository does not hold the commit.
    """
    if _git(root, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        raise UserError(
            f"{report}: commit {commit} is unknown here; fetch the whole history, or publish the report again"
        )
    listing = _git(root, "diff", "--name-only", "--no-renames", "-z", commit, "HEAD")
    if listing is None:
        raise UserError(f"{report}: git could not compare {commit} with HEAD; run this in a git clone")
    changed = [name for name in listing.split("\0") if name and not GENERATED.match(name)]
    if _readme_without_quotes(root, commit) == _readme_without_quotes(root, "HEAD"):
        changed = [name for name in changed if name != "README.md"]
    return changed


def check(report: Path, root: Path) -> str:
    """Return the commit that made the report `root / report`; UserError where the code changed since."""
    commit = source_of(root / report)
    changed = changed_since(commit, report, root)
    if changed:
        names = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        raise UserError(f"{report}: made from {commit[:12]}, since when {names} changed; publish it again")
    return commit


def _readme_without_quotes(root: Path, commit: str) -> str | None:
    text = _git(root, "show", f"{commit}:README.md")
    return None if text is None else QUOTE.sub(r"\1\2", text)


def _git(root: Path, *arguments: str) -> str | None:
    """Output of a git command in `root`, or None when it fails."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, encoding="utf-8")
    return done.stdout if done.returncode == 0 else None


def main(arguments: list[str], root: Path = Path()) -> int:
    """Check the reports named in `arguments`, or all that are published; return the exit status."""
    found = [path.relative_to(root) for path in sorted((root / "reports").glob("*/*.json"))]
    reports = [Path(argument) for argument in arguments] or found
    if not reports:
        print("reports: nothing is published yet, nothing to check")
    status = 0
    for report in reports:
        try:
            commit = check(report, root)
        except UserError as error:
            print(error, file=sys.stderr)
            status = 2
        else:
            print(f"{report}: made from {commit[:12]}, and the code has not changed since")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
