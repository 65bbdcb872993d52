"""smoke: a few hundred passages of the embedded collection, the whole pipeline in seconds; for tests."""

from simlm.scales.mini import mini
from simlm.scales.scale import Scale
from simlm.scales.settings import EncoderShape, GeneratorShape, NegativesSettings, Optimisation


def smoke() -> Scale:
    """mini's settings on the smoke collection, with tiny models, few steps and short lists."""
    scale = mini()
    assert scale.base is not None and scale.generator_training is not None
    for stage, steps, batch in (
        (scale.base, 6, 16),
        (scale.generator_training, 6, 16),
        (scale.pretraining, 8, 16),
        (scale.retriever, 8, 8),
        (scale.distillation, 8, 8),
        (scale.reranker, 6, 4),
    ):
        optimisation: Optimisation = stage.optimisation
        optimisation.steps, optimisation.batch_size, optimisation.warmup_steps = steps, batch, 2
    for stage in (scale.base, scale.generator_training, scale.pretraining):
        stage.max_length, stage.held_out = 48, 16
    for stage in (scale.retriever, scale.distillation):
        stage.passage_length, stage.evaluation_queries = 48, 16
    for stage in (scale.retriever, scale.distillation, scale.reranker):
        stage.negatives = NegativesSettings.C(depth=20, total=24)
    scale.reranker.max_length, scale.reranker.evaluation_queries, scale.reranker.rerank_depth = 64, 16, 10
    scale.search.evaluation_depth, scale.search.mining_depth = 100, 40
    return Scale(
        name="smoke",
        collection="insuranceqa-smoke",
        vocabulary=600,
        encoder=EncoderShape.C(layers=2, hidden=64, heads=2, intermediate=128, initializer_range=0.069, dropout=0.0),
        generator=GeneratorShape.C(layers=2, hidden=32, heads=2, intermediate=64, initializer_range=0.098),
        base=scale.base,
        generator_training=scale.generator_training,
        pretraining=scale.pretraining,
        retriever=scale.retriever,
        distillation=scale.distillation,
        alpha=scale.alpha,
        reranker_start=scale.reranker_start,
        reranker=scale.reranker,
        search=scale.search,
        rate_grid=scale.rate_grid[:2],
        alpha_grid=scale.alpha_grid,
        bm25_grid=scale.bm25_grid[:2],
        fusion_grid=scale.fusion_grid[::5],
    )
