"""Stages that make an encoder: from the Hub, at random, from a corpus's word vectors, or by pre-training one."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

from experimaestro import Constant, Meta, Param, field

from simlm.files import checksums
from simlm.models.public import MAIN, revision_of
from simlm.scales.settings import EncoderShape, GeneratorShape, PretrainingSettings
from simlm.stages.computing import ComputingStage
from simlm.stages.data import Prepare
from simlm.stages.libraries import LIBRARIES
from simlm.workflow.manifest import outputs_digest
from simlm.workflow.stage import Stage

HEAD_MLM = "head-mlm"
"""The objective that trains a fresh MLM head over a frozen encoder."""
SHARES = (Fraction(1, 8), Fraction(3, 8), Fraction(3, 4))
"""Where a pre-training keeps its encoder: of the paper's 80k updates these are 10k, 30k and 60k (Figure 3)."""


def step_at(share: Fraction, steps: int) -> int:
    """Return the number of the update that ends a share of a training."""
    return math.ceil(share * steps)


class EncoderStage(Stage):
    """A stage whose output is a model that transformers loads with ``from_pretrained``."""

    imports = LIBRARIES

    @property
    def model(self) -> Path:
        """The folder of config.json, model.safetensors, the tokenizer and the model card."""
        return self.folder / "model"


class PublicModel(EncoderStage):
    """A model of the Hub or of a local folder, copied so that every later stage reads the same weights.

    ``digest`` stands for a local folder's content in the identity; it is "" for the Hub, where ``revision`` does: a
    commit, where one is pinned. Where the folder of a named model lies is its ``location``, which does not count.
    """

    name: Param[str]
    revision: Param[str]
    digest: Param[str]
    location: Meta[str] = field(default="")

    @property
    def copied_from(self) -> str:
        """A folder, or a name on the Hub."""
        return self.location or self.name

    def run(self) -> dict[str, Any]:
        from simlm.models.fetch import copy_model

        return copy_model(self.copied_from, self.revision, self.model)


def public_model(name: str, folder: str = "", revision: str = "", digest: str = "") -> Any:
    """Return the stage's configuration for a model that somebody else published.

    Args:
        name: A repository of the Hub, or a local folder.
        folder: A local folder that holds the repository of that name; "" to fetch it.
        revision: The commit of the repository; "" for the pinned one. No folder has one.
        digest: What stands for the folder's content, such as the sha256 of its weights; "" for a digest of all files.
    """
    digest = digest or local_digest(folder or name)
    chosen = MAIN if digest else revision or revision_of(name)
    return PublicModel.C(name=name, revision=chosen, digest=digest, location=folder)


class FirstLayers(EncoderStage):
    """The first ``layers`` layers of a public encoder, with its embeddings and tokenizer."""

    start: Param[PublicModel]
    layers: Param[int]

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.fresh_models import save_first_layers

        save_first_layers(self.start.model, self.layers, self.model)
        return {}


class WithHead(EncoderStage):
    """A public encoder, or layers of one, under a fresh MLM head that knows how frequent the corpus's pieces are.

    It is BERT, or with ``generator`` ELECTRA's generator, which is BERT with another head.
    """

    start: Param[EncoderStage]
    corpus: Param[Prepare]
    generator: Param[bool]
    seed: Param[int]

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.fresh_models import save_with_head

        save_with_head(self.start.model, self.corpus.open(), self.generator, self.seed, self.model)
        return {}


class RandomModel(EncoderStage):
    """A freshly initialised BERT: Table 2's row "random init" below paper scale."""

    data: Param[Prepare]
    shape: Param[EncoderShape]
    seed: Param[int]

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.fresh_models import save_new_encoder

        save_new_encoder(self.shape, self.data.open().tokenizer, self.seed, self.model)
        return {}


class RandomGenerator(EncoderStage):
    """A freshly initialised generator, for one that learns beside the encoder only (Table 12)."""

    data: Param[Prepare]
    shape: Param[GeneratorShape]
    seed: Param[int]

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.fresh_models import save_new_generator

        save_new_generator(self.shape, self.data.open().tokenizer, self.seed, self.model)
        return {}


class Reinitialised(EncoderStage):
    """A public model's shape with fresh weights: "random init" and the random generator at paper scale.

    ``data`` has the tokenizer that the public model was trained with.
    """

    data: Param[Prepare]
    shape_of: Param[EncoderStage]
    seed: Param[int]

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.fresh_models import save_new_like

        save_new_like(self.shape_of.model, self.data.open().tokenizer, self.seed, self.model)
        return {}


class Informed(EncoderStage):
    """The fresh model ``start`` with what the words of a corpus say of each other, before any training.

    It stands for what a public language model knows. The corpus is in the model's own pieces.
    """

    start: Param[EncoderStage]
    corpus: Param[Prepare]
    seed: Param[int]

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.fresh_models import save_informed

        save_informed(self.start.model, self.corpus.open(), self.seed, self.model)
        return {}


class Pretrained(EncoderStage, ComputingStage):
    """Pre-training of ``start`` with an objective (Section 3.1): an encoder, or a generator by MLM.

    ``generator`` is given when the objective needs one. The encoder as it was after each of ``SHARES`` is kept too.
    """

    version: Constant[int] = field(default=2, overrides=True)  # 2: batches are drawn at random
    data: Param[Prepare]
    start: Param[EncoderStage]
    generator: Param[EncoderStage | None] = field(default=None)
    objective: Param[str]
    settings: Param[PretrainingSettings]

    def modules(self) -> set[str]:
        return super().modules() | {_module_of(self.objective)}

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.pretraining import pretrain

        return pretrain(
            self.data.open(),
            self.start.model,
            None if self.generator is None else self.generator.model,
            self.objective,
            self.settings,
            [step_at(share, self.settings.optimisation.steps) for share in SHARES],
            self.choices.compute_device(),
            self.half,
            self.work,
            self.folder,
            self.model,
        )


class Snapshot(EncoderStage):
    """The encoder of a pre-training as it was after ``step`` updates, one of those at which it is kept."""

    start: Param[Pretrained]
    step: Param[int]

    def run(self) -> dict[str, Any]:
        from simlm.stages.work.pretraining import keep_snapshot

        steps = self.start.settings.optimisation.steps
        pieces = self.start.settings.corpus_pieces
        what = f"pre-training objective {self.start.objective}, after {self.step} of {steps} updates"
        return keep_snapshot(
            self.start.data.open(),
            pretrained=self.start.model,
            output=self.start.folder,
            step=self.step,
            corpus_pieces=pieces,
            what=what,
            model=self.model,
        )


def local_digest(name: str) -> str:
    """Return a digest of a local model folder's files, or "" when ``name`` is not a folder."""
    return outputs_digest({"outputs": checksums(Path(name))}) if Path(name).is_dir() else ""


def _module_of(objective: str) -> str:
    """Return the module that an objective's name leads to: no import names it."""
    from simlm.pretraining.objective import find_objective  # imports torch

    return find_objective(objective).__module__
