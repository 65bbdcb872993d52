"""all-MiniLM-L6-v2: what mini's re-ranker and small start from, and as published a reference beside Table 2."""

from baselines.released import SystemPipeline
from baselines.system import System
from simlm.scales.minilm import LAYERS, MINILM, REPOSITORY
from simlm.stages.models import FirstLayers
from simlm.stages.pipeline import Pipeline

SYSTEM = System(
    key=MINILM,
    label="all-MiniLM-L6-v2",
    kind="dense",
    source="sentence-transformers, 2021; MiniLM: Wang et al., NeurIPS 2020",
    checkpoint=REPOSITORY,
    pooling="mean",
    similarity="cos",
    query_length=256,
    passage_length=256,
    title="joined",
    note="Six layers, 384 wide, mean pooling, vectors of length 1, 256 tokens at most as its sentence_bert_config.json "
    "says. Its authors fine-tuned it on a billion pairs of texts, MS MARCO's among them: it is a reference outside the "
    "comparison.",
)


def minilm_pipeline(whole: Pipeline) -> SystemPipeline:
    """Return the pipeline over the collection in the model's pieces; UserError where the model is not on this machine.

    Its passages stand in the whole's order, so that runs and lists of negatives mean the same there.
    """
    return SystemPipeline(whole, SYSTEM, whole.public(REPOSITORY, SYSTEM.label))


def first_layers(public: SystemPipeline) -> FirstLayers:
    """Return the first layers of the model, which a re-ranker starts from."""
    return public.add(FirstLayers.C(start=public.model, layers=LAYERS), f"first {LAYERS} layers")
