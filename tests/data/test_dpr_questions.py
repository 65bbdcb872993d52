"""Natural Questions' test in DPR's format: as csv writes it, as Python and JSON print lists, and damaged."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from simlm.data.dpr_questions import Question, read_questions
from simlm.data.lookup import resolve
from simlm.errors import UserError

ROWS = [
    ("who sings the song i don't care", ["Icona Pop"]),
    ('what does "ciao" mean', ["hello", "it's goodbye", 'say "hi"']),
    ("größte stadt", ["Łódź"]),
]


def test_a_file_as_csv_and_python_write_it(tmp_path: Path) -> None:
    path = tmp_path / "nq-test.qa.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows((question, str(answers)) for question, answers in ROWS)
    assert list(read_questions(path)) == [Question(str(n), *row) for n, row in enumerate(ROWS)]


def test_lists_as_json_and_fields_without_quotation_marks(tmp_path: Path) -> None:
    path = tmp_path / "nq.tsv"
    path.write_text('one\t["a", "b"]\ntwo\t[\'c\']\n', encoding="utf-8")
    assert [row.answers for row in read_questions(path)] == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "there is no question in it"),
        ("one\t['a']\ntwo\n", ":2: 1 columns where a question and the list of its answers"),
        ("one\t['a']\tmore\n", ":1: 3 columns"),
        ("one\ta\n", ":1: 'a' is no list of answers"),
        ("one\t[]\n", ":1: '[]' is no list of answers"),
        ("one\t[1]\n", ":1: '[1]' is no list of answers"),
        ("who?\t['a'\n", ":1: \"['a'\" is no list of answers"),
        ("one\t{[]: 1}\n", ":1: '{[]: 1}' is no list of answers"),
        ("one\rtwo\t['a']\n", ":1: this line is no row of a csv file"),
        ("one\t__import__('os').getcwd()\n", ":1: "),
    ],
)
def test_damage_is_named(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "nq.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        list(read_questions(path))
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_the_file_counts_by_its_content_and_must_be_there(tmp_path: Path) -> None:
    one, other = tmp_path / "a.tsv", tmp_path / "b.tsv"
    for path in (one, other):
        path.write_text("one\t['a']\n", encoding="utf-8")
    assert resolve(f"nq:{one}").digest == resolve(f"nq:{other}").digest and resolve(f"nq:{one}").collection == "nq"
    for text in ("nq", "nq:", f"nq:{tmp_path / 'c.tsv'}", "nq:~no-such-user/c.tsv"):
        with pytest.raises(UserError, match=r"nq.*(nq:FILE|[^:]*c.tsv is missing; give a file)"):
            resolve(text)


def test_anserini_reads_the_same_from_such_a_file_and_it_is_written_back(tmp_path: Path) -> None:
    """Its reader of dpr-nq-test, in a process of its own, as all that needs Java is."""
    path, again = tmp_path / "nq.tsv", tmp_path / "again.tsv"
    path.write_text("".join(f"{question}\t{answers}\n" for question, answers in ROWS), encoding="utf-8")
    code = (
        "import sys; from pathlib import Path; from baselines.questions import topics, write; "
        "write(Path(sys.argv[2]), topics(Path(sys.argv[1])))"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(path), str(again)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert (
        list(read_questions(again))
        == list(read_questions(path))
        == [Question(str(n), *row) for n, row in enumerate(ROWS)]
    )
