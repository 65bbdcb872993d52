"""Natural Questions' test questions with their answers, from Pyserini's topics, as a plain file.

`python -m baselines.questions nq-test.qa.csv` writes what `--collection nq:nq-test.qa.csv` reads
(`simlm.data.dpr_questions`). Anserini fetches the topics when they are first asked for.
"""

import csv
import io
import os
import sys
from pathlib import Path
from typing import Any

from baselines.lucene import java_class, start_jvm
from simlm.commands.checks import check_writable
from simlm.commands.leave import leave_by
from simlm.errors import UserError
from simlm.files import write_atomically
from simlm.paths import shown, whole

READERS = "io.anserini.search.topicreader."
LOGGING = "org.apache.logging.log4j."
USAGE = "python -m baselines.questions FILE writes Natural Questions' test questions to FILE"


def topics(file: Path | None = None) -> list[tuple[str, str]]:
    """Return (question, list of answers as text) in the order of their numbers.

    They are Anserini's dpr-nq-test, or those of a file. UserError where Anserini cannot fetch them.
    """
    start_jvm()
    # Anserini notes on stdout what it fetches; where that fails, the one line of the error says it.
    java_class(f"{LOGGING}core.config.Configurator").setRootLevel(java_class(f"{LOGGING}Level").WARN)
    reader = java_class(f"{READERS}TopicReader")
    try:
        if file is None:
            found = reader.getTopicsWithStringIds(java_class(f"{READERS}Topics").DPR_NQ_TEST)
        else:
            name = f"{READERS}DprNqTopicReader"
            found = reader.getTopicsWithStringIdsFromFileWithTopicReaderClass(name, str(file))
    except Exception as error:  # jnius raises a class that exists only beside a running JVM
        reason = str(error).splitlines()[0]
        raise UserError(f"Pyserini's topics dpr-nq-test cannot be fetched ({reason}); check the network") from None
    return [_fields(found.get(id)) for id in sorted(found.keySet().toArray(), key=int)]


def _fields(topic: Any) -> tuple[str, str]:
    return topic.get("title"), topic.get("answers")


def write(target: Path, rows: list[tuple[str, str]]) -> None:
    """Write one question a line, columns separated by tabs, quoted as csv does."""
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows(rows)
    write_atomically(target, text.getvalue().encode())


def main(arguments: list[str]) -> None:
    """Run the command: one argument, the file to write."""
    if {"-h", "--help"} & {*arguments}:
        print(USAGE)
        return
    if len(arguments) != 1 or not arguments[0] or arguments[0].startswith("-"):
        raise UserError(USAGE)
    target = Path(arguments[0])
    if os.path.lexists(target):
        raise UserError(f"{target} exists; move it away or choose another name")
    target = whole("FILE", target)
    check_writable("FILE", target.parent)
    write(target, topics())
    print(f"questions: {shown(target)}")


if __name__ == "__main__":
    leave_by(lambda: main(sys.argv[1:]))
