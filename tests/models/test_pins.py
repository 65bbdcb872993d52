"""Where the Hub's models are pinned: to commits that were seen, and what no one has seen stays at its branch."""

import re
from pathlib import Path

from baselines.systems import SYSTEMS
from simlm.models.pins import MAIN, PINS, revision_of
from simlm.scales.paper import DISCRIMINATOR, ENCODER, GENERATOR, ROBERTA
from simlm.stages.models import public_model
from tests.baselines.repositories import repositories

UNSEEN = {"intfloat/simlm-base-msmarco", "Luyu/co-condenser-marco-retriever", "Shitao/RetroMAE_MSMARCO_finetune"}


def test_every_pin_is_a_whole_commit_and_says_where_it_was_seen() -> None:
    for repository, pin in PINS.items():
        assert re.fullmatch("[0-9a-f]{40}", pin.commit), repository
        assert pin.seen.strip() == pin.seen != "", repository
    assert len({pin.commit for pin in PINS.values()}) == len(PINS), "no commit is of two repositories"


def test_what_is_fetched_is_pinned_but_for_what_was_seen_nowhere() -> None:
    fetched = {ENCODER, GENERATOR, DISCRIMINATOR, ROBERTA}
    fetched |= {repository for system in SYSTEMS if system.kind != "sparse" for repository in system.repositories}
    assert PINS.keys() == fetched - UNSEEN
    assert fetched >= UNSEEN


def test_what_is_not_pinned_is_fetched_at_the_branch() -> None:
    assert all(revision_of(name) == MAIN for name in (*UNSEEN, "some/model", ""))


def test_a_pin_is_of_the_hubs_repository_and_not_of_a_folder(tmp_path: Path) -> None:
    name = "colbert-ir/colbertv2.0"
    folder = str(repositories(tmp_path) / name.replace("/", "--"))
    hub, own, given = public_model(name), public_model(folder), public_model(name, folder)
    assert (hub.revision, hub.digest) == (PINS[name].commit, "")
    assert own.revision == given.revision == MAIN and own.digest == given.digest != ""
    assert given.location == folder, "where the repository of that name lies"
