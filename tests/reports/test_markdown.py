"""Markdown helpers: escaping, tables, numbers."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import markdown


@settings(max_examples=40)
@given(st.text())
def test_escaped_text_fits_in_a_cell(text: str) -> None:
    cell = markdown.escape(text)
    assert "\n" not in cell and "\r" not in cell
    assert not re.search(r"(?<!\\)\|", cell.replace(r"\\", ""))
    assert "<" not in cell and "$" not in cell


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("*bold* _it_ [x](y) `c`", r"\*bold\* \_it\_ \[x\](y) \`c\`"),
        ("<b> & $5 or $6", "&lt;b&gt; &amp; &#36;5 or &#36;6"),
        ("two\n lines\x1b[0m", r"two lines \[0m"),
        ("# head", "&#35; head"),
        ("1. item", "&#49;. item"),
        ("-5", "-5"),
    ],
)
def test_escape(text: str, escaped: str) -> None:
    assert markdown.escape(text) == escaped


def test_table_has_the_same_cells_a_line_and_refuses_others() -> None:
    text = markdown.table(["a", "b"], [["1", "2"]])
    assert text == "| a | b |\n| :--- | ---: |\n| 1 | 2 |"
    with pytest.raises(ValueError, match="2 columns"):
        markdown.table(["a", "b"], [["1"]])
    with pytest.raises(ValueError, match="not a table cell"):
        markdown.table(["a"], [["1|2"]])


def test_numbers() -> None:
    assert markdown.number(0.29589) == "0.2959"
    assert markdown.number(None) == "–"
    assert markdown.signed(-0.5, 2) == "−0.50"
    assert markdown.probability(1e-9) == "< 0.0001"
    durations = [markdown.duration(seconds) for seconds in (0.44, 12, 59.6, 185, 7620, None)]
    assert durations == ["0.4 s", "12 s", "1 min 00 s", "3 min 05 s", "2 h 07 min", "–"]
    sizes = [markdown.size(count) for count in (12, 999, 8_412_345, 27e9, 3e12)]
    assert sizes == ["12 B", "999 B", "8.41 MB", "27 GB", "3 TB"]
