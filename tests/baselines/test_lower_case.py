"""Texts that a published model reads in lower case, though the tokenizer that comes with it keeps case."""

from pathlib import Path
from types import SimpleNamespace

from baselines.released import PrepareFor
from baselines.systems import SYSTEMS
from tests.baselines.repositories import ance, repositories

TEXT = "Manhattan PROJECT was Its Name"


def pieces(folder: Path, text: str, lower_case: bool) -> list[int]:
    stage = SimpleNamespace(model=SimpleNamespace(model=folder), lower_case=lower_case)
    ids: list[int] = PrepareFor.tokenizer_for(stage, None)(text)["input_ids"]
    return ids


def test_pieces_are_those_of_the_text_in_lower_case(tmp_path: Path) -> None:
    ance(tmp_path / "ance")
    lower = pieces(tmp_path / "ance", TEXT.lower(), False)
    assert pieces(tmp_path / "ance", TEXT, True) == lower == pieces(tmp_path / "ance", TEXT.lower(), True)
    assert pieces(tmp_path / "ance", TEXT, False) != lower, "which keeps case by itself"


def test_what_a_tokenizer_does_by_itself_it_still_does(tmp_path: Path) -> None:
    folder = repositories(tmp_path) / "colbert-ir--colbertv2.0"
    assert pieces(folder, TEXT + " é", True) == pieces(folder, TEXT + " é", False)


def test_ance_alone_is_declared_so() -> None:
    assert [one.key for one in SYSTEMS if one.lower_case] == ["ance"]
