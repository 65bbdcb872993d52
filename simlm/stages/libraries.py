"""What the stages of the pipeline import: it takes seconds, so the stage server does it once for all of them."""

LIBRARIES = (
    "accelerate",
    "simlm.data.collections",
    "simlm.data.store",
    "simlm.evaluation.measures",
    "simlm.finetuning.teacher",
    "simlm.packed.inference",
    "simlm.packed.training",
    "simlm.stages.dense",
    "simlm.stages.evaluations",
    "simlm.stages.training",
    "torch.utils.tensorboard",
    "transformers.models.bert.modeling_bert",
    "transformers.models.electra.modeling_electra",
    "transformers.trainer",
)
