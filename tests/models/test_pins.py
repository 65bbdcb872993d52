"""The Hub's models are fetched at a known commit, and those whose commit is not known at the branch main."""

from pathlib import Path

from baselines.systems import SYSTEMS
from simlm.models.public import COMMIT, MAIN, PINS, Pin, revision_of
from simlm.scales.paper import DISCRIMINATOR, ENCODER, GENERATOR, ROBERTA
from simlm.stages.models import public_model
from tests.baselines.repositories import repositories

UNPINNED = {"intfloat/simlm-base-msmarco", "Luyu/co-condenser-marco-retriever", "Shitao/RetroMAE_MSMARCO_finetune"}
OF_SYSTEMS: dict[str, Pin] = {
    name: pin
    for one in SYSTEMS
    if one.kind != "sparse"
    for name, pin in ((one.checkpoint, one.pin), (one.query_checkpoint, one.query_pin))
    if name
}


def test_every_pin_is_a_whole_commit_and_names_its_source() -> None:
    pins = PINS | {name: pin for name, pin in OF_SYSTEMS.items() if pin.commit != MAIN}
    for repository, pin in pins.items():
        assert COMMIT.fullmatch(pin.commit), repository
        assert pin.source.strip() == pin.source != "", repository
    assert len({pin.commit for pin in pins.values()}) == len(pins), "no commit is of two repositories"


def test_all_other_repositories_are_pinned() -> None:
    assert PINS.keys() == {ENCODER, GENERATOR, DISCRIMINATOR, ROBERTA}
    assert {name for name, pin in OF_SYSTEMS.items() if pin.commit == MAIN} == UNPINNED
    assert revision_of("some/model") == revision_of("") == MAIN


def test_a_pin_is_of_the_hubs_repository_and_not_of_a_folder(tmp_path: Path) -> None:
    name, commit = "colbert-ir/colbertv2.0", "c" * 40
    folder = str(repositories(tmp_path) / name.replace("/", "--"))
    hub, own, given = public_model(name, revision=commit), public_model(folder), public_model(name, folder, commit)
    assert (hub.revision, hub.digest) == (commit, "")
    assert own.revision == given.revision == MAIN and own.digest == given.digest != ""
    assert given.location == folder, "where the repository of that name lies"
    assert public_model(ENCODER).revision == PINS[ENCODER].commit
