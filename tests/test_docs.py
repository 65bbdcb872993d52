"""README, CONTRIBUTING and docs/ name only files, modules and options that exist, and are short enough to be read."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
ROOMS = "|".join(sorted(path.parent.name for path in ROOT.glob("*/__init__.py")))
COMMAND = re.compile(rf"python -m ((?:{ROOMS})[\w.]*)([^`\n]*)")
OTHERS = {"--benchmark-enable"}
"""Options of other programs that pages name outside of a whole command line."""
HELP = """
import contextlib, io, json, runpy, sys
texts = {}
for command in sys.argv[1:]:
    module, *words = command.split()
    out, sys.argv = io.StringIO(), [module, *words, "--help"]
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        runpy.run_module(module, run_name="__main__")
    texts[command] = out.getvalue()
print(json.dumps(texts))
"""


def text_of(page: Path) -> str:
    """Return a page's text, each command on one line."""
    return re.sub(r" *\\\n\s*", " ", page.read_text(encoding="utf-8"))


def module_file(name: str) -> Path | None:
    """Return the file of a module of this repository, None if there is none."""
    base = ROOT.joinpath(*name.split("."))
    return next(
        (one for one in (base.with_suffix(".py"), base / "__main__.py", base / "__init__.py") if one.is_file()), None
    )


def headings(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    found = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Yield (module, with its subcommand; the rest of the line up to a comment) of the commands that a page shows."""
    for module, rest in COMMAND.findall(text):
        words = rest.split("#")[0].split()
        subcommand = words[:1] if module == "repro.data" else []
        yield " ".join([module, *subcommand]), " ".join(words)


@pytest.fixture(scope="module")
def help_texts() -> dict[str, str]:
    """Return what --help of each command that a page shows prints. One process, because imports take longest."""
    shown = sorted({command for page in PAGES for command, _ in commands(text_of(page))})
    done = subprocess.run([sys.executable, "-c", HELP, *shown], cwd=ROOT, check=True, capture_output=True, text=True)
    texts: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return texts


def test_readme_is_read_in_minutes() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), target
        assert not anchor or anchor in headings(linked), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_modules_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for path in re.findall(rf"(?<![\w./<-])((?:{ROOMS}|docs)/[\w./-]*)(?![\w<*])", text):
        assert (ROOT / path.rstrip(".")).exists(), path
    for name in re.findall(rf"(?<![\w./])((?:{ROOMS})(?:\.\w+)+)", text):
        if module_file(name) is None:  # a name in a module
            module, _, attribute = name.rpartition(".")
            file = module_file(module)
            assert file is not None and re.search(rf"\b{attribute}\b", file.read_text(encoding="utf-8")), name


def test_options_exist(help_texts: dict[str, str]) -> None:
    known = OTHERS | {option for text in help_texts.values() for option in re.findall(r"--[\w-]+", text)}
    for page in PAGES:
        text = text_of(page)
        for command, line in commands(text):
            for option in re.findall(r"--[a-z][\w-]*", line):
                assert option in help_texts[command], (page.name, command, option)
        outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        for span in re.findall(r"`(--[a-z][^`]*)`", outside):
            assert set(re.findall(r"--[a-z][\w-]*", span)) <= known, (page.name, span)


def test_one_cell_crosses_few_files() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.split("## One cell, step by step")[1].split("\n## ")[0]
    files = re.findall(r"`([\w/]+\.py)`", section)
    assert 1 < len(set(files)) <= 18
    assert len(files) == len(re.findall(r"^\d+\. ", section, re.MULTILINE)), "a step names one file, and each once"
