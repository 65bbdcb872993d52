"""What the stages of the pipeline import: it takes seconds, so the stage server does it once for all of them."""

LIBRARIES = (
    "accelerate",
    "simlm.evaluation.measures",
    "simlm.stages.work.answers",
    "simlm.stages.work.pretraining",
    "simlm.stages.work.reranker",
    "simlm.stages.work.retrieve",
    "simlm.stages.work.retriever",
    "torch.utils.tensorboard",
    "transformers.models.bert.modeling_bert",
    "transformers.models.electra.modeling_electra",
    "transformers.trainer",
)
