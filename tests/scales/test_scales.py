"""Scales: each is whole, consistent with itself, and new at every call."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from simlm.errors import UserError
from simlm.scales import NAMES, Scale, open_scale
from simlm.scales.minilm import REPOSITORY
from simlm.scales.rehearsal import rehearsed
from simlm.scales.settings import (
    EncoderShape,
    GeneratorShape,
    Optimisation,
    RerankerSettings,
    RetrieverSettings,
    varied,
)
from simlm.stages.models import SHARES, step_at
from simlm.stages.pipeline import Pipeline
from simlm.stages.runs import PackageLists
from simlm.training.plan import schedule
from simlm.workflow.plan import plan
from tests.data.released import unpacked

BERT = "bert-base-uncased"


def optimisations(scale: Scale) -> dict[str, Optimisation]:
    """Every optimisation of a scale, by the name of its settings."""
    found = {one.name: getattr(scale, one.name) for one in fields(scale)}
    return {name: value.optimisation for name, value in found.items() if hasattr(value, "optimisation")}


@pytest.fixture(params=NAMES)
def scale(request: pytest.FixtureRequest) -> Scale:
    return open_scale(request.param)


def test_an_unknown_scale_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(UserError, match="unknown scale 'paper2': choose one of smoke, mini, small, paper"):
        open_scale("paper2")


def test_each_call_gives_new_objects(scale: Scale) -> None:
    """A pipeline adds its seed to the scale's own: settings shared between two would carry it over."""
    before = {name: one.seed for name, one in optimisations(scale).items()}
    Pipeline(open_scale(scale.name), 7, lambda stage, name: None)
    assert {name: one.seed for name, one in optimisations(scale).items()} == before
    assert {name: one.seed for name, one in optimisations(open_scale(scale.name)).items()} == before
    one, other = open_scale(scale.name), open_scale(scale.name)
    for field in fields(one):
        value = getattr(one, field.name)
        if not isinstance(value, str | int | float | tuple | None):
            assert value is not getattr(other, field.name), field.name


@pytest.mark.usefixtures("minilm")
def test_only_paper_scale_and_released_lists_follow_the_release(scale: Scale, tmp_path: Path) -> None:
    """Elsewhere figures would change, and the lists that come with a collection are rankings."""

    def lists(chosen: Scale) -> PackageLists:
        stages, _ = plan(lambda submit: Pipeline(chosen, 0, submit).package_lists("lists"), tmp_path / "results")
        assert isinstance(found := stages[-1].config, PackageLists)
        return found

    own, archive = lists(scale), lists(open_scale(scale.name, str(unpacked(tmp_path))))
    assert own.data.qrels_order == archive.data.qrels_order == own.ready == (scale.name == "paper")
    assert archive.ready
    fine_tuning = (scale.retriever, scale.distillation, scale.reranker, *scale.retrievers.values())
    assert {one.optimisation.keep_last for one in fine_tuning} == {scale.name == "paper"}
    assert not scale.pretraining.optimisation.keep_last
    assert scale.pretraining.generator_epsilon == (1e-5 if scale.name == "paper" else 0)


def test_a_pipelines_seed_is_added_once_to_each(scale: Scale) -> None:
    before = {name: one.seed for name, one in optimisations(scale).items()}
    Pipeline(scale, 7, lambda stage, name: None)
    assert {name: one.seed - 7 for name, one in optimisations(scale).items()} == before


@pytest.mark.usefixtures("minilm")
def test_the_stages_of_another_seed_are_others_but_for_the_collection(scale: Scale, tmp_path: Path) -> None:
    def identifiers(seed: int) -> dict[str, str]:
        stages, _ = plan(lambda submit: Pipeline(open_scale(scale.name), seed, submit).simlm, tmp_path)
        return {stage.name: stage.job.name for stage in stages}

    one, other = identifiers(0), identifiers(1)
    public = {"paper": {"base", "generator"}, "small": {"base", "first 2 layers of base"}}.get(scale.name, set())
    assert {name for name in one if one[name] == other[name]} == {"collection"} | public
    assert len(one) >= 4


def test_warm_up_ends_before_training_does(scale: Scale) -> None:
    for name, one in optimisations(scale).items():
        assert 0 < one.warmup_steps < one.steps, name
        assert one.batch_size > 0 and 0 < one.learning_rate < 1
        assert 0 < schedule(one.schedule, one.warmup_steps, one.steps)(one.warmup_steps) <= 1


def test_seeds_differ_where_the_same_passages_are_drawn_from(scale: Scale) -> None:
    """A stand-in's or a head's training, the generator's and SimLM's own see other masks."""
    before = ("stand_in", "head_training", "generator_training")
    seeds = [one.seed for name, one in optimisations(scale).items() if name in before]
    assert len({*seeds, scale.pretraining.optimisation.seed}) == (1 if scale.name == "paper" else 3)


def test_lists_are_long_enough_for_the_windows(scale: Scale) -> None:
    """A group takes its negatives from a list: shorter than a window, they would repeat within a group."""
    settings: tuple[RetrieverSettings | RerankerSettings, ...] = (scale.retriever, scale.distillation, scale.reranker)
    for one in settings:
        assert 0 < one.negatives.depth <= one.negatives.total
        assert 2 <= one.passages_per_query <= one.negatives.total + 1
        assert one.negatives.depth <= scale.search.mining_depth
        assert one.evaluation_queries > 0
    assert scale.distillation.evaluations >= 1 and scale.reranker.evaluations >= 1, "the best checkpoint is chosen"
    assert 1 <= scale.reranker.kept_passages <= scale.reranker.passages_per_query
    assert 10 <= scale.reranker.rerank_depth <= scale.search.evaluation_depth


def test_shapes_can_be_built(scale: Scale) -> None:
    shapes: tuple[Any, ...] = (scale.encoder, scale.generator)
    if scale.name == "paper":
        assert (*shapes, scale.vocabulary) == (BERT, "google/electra-base-generator", BERT)
        assert scale.stand_in is None and scale.generator_training is None
        return
    alone = [one.corpus_pieces for one in (scale.pretraining, scale.generator_training) if one is not None]
    assert alone == 2 * [scale.name == "small"]
    if scale.name == "small":
        assert (*shapes, scale.vocabulary) == (REPOSITORY, 2, REPOSITORY) and not scale.has_papers_models
        assert scale.head_training is not None and scale.head_training.corpus_pieces
        return
    for shape in shapes:
        assert isinstance(shape, EncoderShape | GeneratorShape)
        assert shape.layers >= 2 and shape.hidden % shape.heads == 0
    assert isinstance(scale.vocabulary, int) and scale.vocabulary > 100


def test_grids_hold_what_is_compared_with(scale: Scale) -> None:
    """Tuning can then never do worse on valid than not tuning: neither row is handicapped."""
    assert len(set(scale.bm25_grid)) == len(scale.bm25_grid) > 1
    assert {0.0, 1.0} <= set(scale.fusion_grid)
    assert list(scale.fusion_grid) == sorted(set(scale.fusion_grid))


def test_paper_has_the_values_of_the_released_runs() -> None:
    """Tables 11 and 13 are compared cell by cell in tests/repro; what they do not print is here."""
    scale = open_scale("paper")
    stages = {
        "pretraining": (45678, 2048, 4000, 80_000),
        "retriever": (1234, 64, 1000, 23_577),
        "distillation": (123, 64, 1000, 47_154),
        "reranker": (987, 64, 1000, 23_577),
    }
    for name, expected in stages.items():
        one = getattr(scale, name).optimisation
        assert (one.seed, one.batch_size, one.warmup_steps, one.steps) == expected, name
        assert one.schedule == "log", name
    assert 23_577 == 3 * -(-502_939 // 64) and 47_154 == 2 * 23_577
    assert (scale.pretraining.held_out, scale.retriever.evaluations, scale.distillation.evaluations) == (4096, 0, 6)
    assert (scale.reranker.kept_passages, scale.reranker.evaluations, scale.reranker.dropout) == (16, 3, 0.1)
    assert (scale.search.evaluation_depth, scale.search.mining_depth) == (1000, 200)
    electra = scale.retrievers["electra"].optimisation
    assert (electra.learning_rate, electra.steps) == (4e-5, 47_154)
    assert scale.starts == {"electra": "google/electra-base-discriminator", "roberta": "roberta-base"}


def test_micro_batches_count_in_a_stages_identity_where_they_are_not_the_whole_batch() -> None:
    settings = open_scale("smoke").pretraining
    identity = settings.__xpm__.identifier.all.hex()
    assert varied(settings, micro_batch=0).__xpm__.identifier.all.hex() == identity
    assert varied(settings, micro_batch=8).__xpm__.identifier.all.hex() != identity


def test_a_rehearsal_has_few_updates_and_else_what_the_scale_has(scale: Scale) -> None:
    brief = rehearsed(scale)
    assert brief.part and not scale.part
    for name, one in optimisations(brief).items():
        whole = optimisations(scale)[name]
        assert 0 < one.warmup_steps < one.steps <= 8 and len({step_at(share, one.steps) for share in SHARES}) == 3
        assert varied(one, steps=whole.steps, warmup_steps=whole.warmup_steps).__xpm__.identifier == (
            whole.__xpm__.identifier
        )
    for settings, whole in ((brief.reranker, scale.reranker), (brief.distillation, scale.distillation)):
        assert 1 <= settings.evaluations <= 2 and settings.passages_per_query == whole.passages_per_query
    assert {one.optimisation.steps for one in brief.retrievers.values()} <= {8}
    again = rehearsed(brief)
    assert {name: one.steps for name, one in optimisations(again).items()} == {
        name: one.steps for name, one in optimisations(brief).items()
    }
