"""Lucene's hits as arrays, without a Python object a hit."""

import importlib
from typing import Any

import numpy as np

from baselines.java import java_class


class HitReader:
    """Reads the documents and scores of a Lucene TopDocs.

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
        """Documents int64 (k) and scores float32 (k) of a TopDocs, in its order."""
        documents = self._hits(top).mapToInt(self._document).toArray()
        scores = self._hits(top).mapToDouble(self._score).toArray()
        return np.asarray(documents, dtype=np.int64), np.asarray(scores, dtype=np.float32)

    def _hits(self, top: Any) -> Any:
        return _cast(_STREAM, self._stream.apply(top))


_HIT = "org.apache.lucene.search.ScoreDoc"
_TOP = "org.apache.lucene.search.TopDocs"
_STREAM = "java.util.stream.Stream"


def _as_interface(name: str, handle: Any) -> Any:
    interface = f"java.util.function.{name}"
    wanted = java_class("java.lang.Class").forName(interface)
    return _cast(interface, java_class("java.lang.invoke.MethodHandleProxies").asInterfaceInstance(wanted, handle))


def _cast(interface: str, value: Any) -> Any:
    return importlib.import_module("jnius").cast(interface, value)
