"""How commands end: output that cannot be shown or written costs nothing but itself."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simlm.commands.leave import leave_by

COMMAND = """
import sys
from pathlib import Path
from simlm.commands.leave import leave_by
def work():
    for _ in range(int(sys.argv[2])):
        print("difference − 0.1 – é 資 \\udcff")
    print("a note", file=sys.stderr)
    Path(sys.argv[1]).touch()
    if len(sys.argv) > 3:
        sys.exit(int(sys.argv[3]))
leave_by(work)
"""
MANY = 20_000
"""Lines: more than a pipe holds."""


def start(
    target: Path, lines: int, *arguments: str, encoding: str = "utf-8", output: int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(target), str(lines), *arguments],
        env=os.environ | {"PYTHONIOENCODING": encoding},
        stdout=output,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "- 0.1 - \\xe9 \\u8cc7 \\udcff"),
        ("iso-8859-1", "- 0.1 - é \\u8cc7 \\udcff"),
        ("utf-8", "− 0.1 – é 資 \\udcff"),
    ],
)
def test_letters_that_a_terminal_lacks(encoding: str, shown: str, tmp_path: Path) -> None:
    output, errors = (process := start(tmp_path / "report", 1, encoding=encoding)).communicate()
    assert (process.returncode, output.decode(encoding), errors) == (0, f"difference {shown}\n", b"a note\n")


@pytest.mark.parametrize("lines", [1, MANY])
def test_a_reader_that_has_gone(lines: int, tmp_path: Path) -> None:
    """The status is a shell's for SIGPIPE, and the work is done to its end."""
    reading, writing = os.pipe()
    os.close(reading)
    _, errors = (process := start(tmp_path / "report", lines, output=writing)).communicate()
    os.close(writing)
    assert (process.returncode, errors) == (141, b"a note\n") and (tmp_path / "report").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("lines", [1, MANY])
def test_a_full_disk_below_the_output(lines: int, tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        _, errors = (process := start(tmp_path / "report", lines, output=full.fileno())).communicate()
        _, other = (failing := start(tmp_path / "report", lines, "2", output=full.fileno())).communicate()
    said = b"a note\nfailed: cannot write the output: No space left on device\n"
    assert (process.returncode, errors) == (1, said) and (tmp_path / "report").exists()
    assert (failing.returncode, other) == (2, b"a note\n")


def test_an_output_that_was_closed(tmp_path: Path) -> None:
    command = f"exec {sys.executable} -c '{COMMAND}' {tmp_path}/report 1 >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0
    assert (tmp_path / "report").exists()


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "No space left on device"), (errno.EDQUOT, "Disk quota")])
def test_a_full_disk_is_one_line(number: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise OSError(number, os.strerror(number), "table2.md")

    with pytest.raises(SystemExit, match="^1$"):
        leave_by(work)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"failed: table2.md: {said}")


def test_an_error_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(FileNotFoundError):
        leave_by(lambda: Path("/nowhere/at all").read_text())
