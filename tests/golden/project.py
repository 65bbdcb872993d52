"""What the tests of this folder use of the project: the only file here that knows its classes and functions.

Models, batches and lists go in as the released values have them, and losses, vectors and tokens come out. "Layout"
means how texts are put into batches: padded to one length, or packed into one row without padding.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ablations.objectives.joint_generator import GENERATOR_WEIGHT, JointReplacedLM
from simlm.data.inputs import Specials, batch_inputs
from simlm.finetuning.answered import answered_lists
from simlm.finetuning.biencoder import BiEncoder, BiEncoderBatch
from simlm.finetuning.losses import (
    contrastive_loss,
    distillation_loss,
    r_drop_listwise_loss,
    reciprocal_ranks,
    top_1_accuracy,
)
from simlm.finetuning.negatives import NegativeLists
from simlm.finetuning.reranker import Reranker, RerankerBatch, RerankerCollator
from simlm.models.load import reranker_from_encoder
from simlm.packed import forwards
from simlm.packed.pack import Packer, pack
from simlm.packed.texts import Packed, PackedTexts, PaddedTexts, Texts
from simlm.pretraining.generator import masked_rows
from simlm.pretraining.masking import WordPieces, budget, draw_words, nested_masks, second_rate
from simlm.pretraining.objective import Example, ObjectiveConfig
from simlm.pretraining.packing import PackingCollator
from simlm.pretraining.replaced_lm import Draw, NestedMaskCollator, ReplacedLM
from simlm.retrieval.runs import PADDING, Run
from tests.golden.values import CLS, MASK, PAD, SEP, UNK, WEIGHTS, Text, bert, generator, tensors, texts

__all__ = [  # functions that tests call as they are
    "GENERATOR_WEIGHT",
    "budget",
    "contrastive_loss",
    "distillation_loss",
    "r_drop_listwise_loss",
    "reciprocal_ranks",
    "second_rate",
    "top_1_accuracy",
]

SPECIALS = Specials(cls=CLS, sep=SEP, pad=PAD, unk=UNK, mask=MASK)


def padded_by_project(rows: Sequence[Text]) -> dict[str, Tensor]:
    """A padded batch that the project makes itself."""
    return batch_inputs(rows, SPECIALS)


# --- whole-word masks -------------------------------------------------------------------------------------------------


class Masks:
    """Random whole-word masks.

    Args:
        continues: for each token id, whether this token continues a word, as "##b" does.
    """

    def __init__(self, continues: np.ndarray) -> None:
        self.pieces = WordPieces(continues, SPECIALS, np.zeros_like(continues))

    def maskable(self, ids: np.ndarray) -> np.ndarray:
        """Whether each token can be masked, [CLS] and [SEP] apart, as booleans (length,)."""
        return self.pieces.maskable(ids)

    def counted(self, ids: np.ndarray) -> np.ndarray:
        """Whether each token counts in the replace ratio, as booleans (length,)."""
        return self.pieces.counted(ids)

    def draw(self, ids: np.ndarray, rate: float, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw masks (count, length) that cover ``rate`` of the tokens."""
        words = self.pieces.words(ids)
        return np.stack([draw_words(words, len(ids), rate, rng) for _ in range(count)])

    def draw_nested(
        self, ids: np.ndarray, encoder: float, decoder: float, count: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw masks (count, length) for the encoder, and ones that contain these for the decoder."""
        drawn = [nested_masks(ids, self.pieces, encoder, decoder, rng) for _ in range(count)]
        of_encoder, of_decoder = zip(*drawn, strict=True)
        return np.stack(of_encoder), np.stack(of_decoder)


# --- replaced language modelling --------------------------------------------------------------------------------------

OBJECTIVES = {"frozen": ReplacedLM, "joint": JointReplacedLM}
REPLACED_LM_LAYOUTS: dict[str, dict[str, Any] | None] = {
    "padded": None,
    "packed": {"max_tokens": 10_000},
    "packed, in three parts": {"max_tokens": 20},
    "packed, filled up": {"max_tokens": 10_000, "round_to": 64, "max_length": 24},
}
PARTS = {"packed": 1, "packed, in three parts": 3, "packed, filled up": 1}


@dataclass(frozen=True)
class GivenDraws(NestedMaskCollator):
    """The project's collator with given masks and sampled tokens instead of random ones."""

    draws: tuple[Draw, ...] = ()

    def draw(self, example: Example) -> Draw:
        return self.draws[example.passage]


class ReplacedLMRun:
    """The objective with the released weights and draws.

    Args:
        kind: "frozen" or "joint", what the generator does.
        passages: texts without padding.
        masks: of "encoder" and "decoder", the masked places (length,) of each passage.
        uniforms: of "encoder" and "decoder", the numbers (masked,) of each passage that tokens are drawn with.
        continues: for each token id, whether this token continues a word.
    """

    def __init__(
        self,
        kind: str,
        passages: Sequence[Text],
        masks: dict[str, list[np.ndarray]],
        uniforms: dict[str, list[np.ndarray]],
        continues: np.ndarray,
    ) -> None:
        pieces = WordPieces(continues, SPECIALS, np.zeros_like(continues))
        config = ObjectiveConfig(encoder_rate=0.3, decoder_rate=0.5, generator_dropout=True, seed=0)
        draws = zip(masks["encoder"], masks["decoder"], uniforms["encoder"], uniforms["decoder"], strict=True)
        self.examples = [Example(number, 0, *text) for number, text in enumerate(passages)]
        self.objective = OBJECTIVES[kind].build(bert(), generator(), pieces, config)
        self.objective.collator = GivenDraws(pieces, config, tuple(Draw(*draw) for draw in draws))

    def train(self, mode: bool) -> None:
        self.objective.train(mode)

    def use_layers_of_gpu(self) -> None:
        """Put in the approximate GELU and the hashed dropout that compiled code has on a GPU."""
        forwards._swap(self.objective)

    def use_generator_norm(self, epsilon: float) -> None:
        """Set the epsilon of the layer norm before the generator's output layer."""
        self.objective.replacer.generator.generator_predictions.LayerNorm.eps = epsilon

    def batch(self) -> dict[str, np.ndarray]:
        """The padded batch as the project's collator makes it, arrays (passages, width)."""
        batch = self.objective.collator(self.examples)
        return {name: tensor.numpy() for name, tensor in batch.items() if tensor.dim() == 2}

    def losses(self, layout: str) -> tuple[dict[str, Tensor], list[np.ndarray]]:
        """The losses by name, and the tokens of all passages, one after the other, as encoder and decoder read them."""
        read: list[Tensor] = []
        hook = self.objective.encoder.bert.embeddings.register_forward_pre_hook(
            lambda module, arguments, named: read.append(named["input_ids"]), with_kwargs=True
        )
        settings = REPLACED_LM_LAYOUTS[layout]
        if settings is None:
            batch = self.objective.collator(self.examples)
            losses = self.objective(**batch)
            tokens = [ids[batch["attention_mask"].bool()] for ids in read]
        else:
            forwards.prepare(self.objective, compiled=False)
            parts = PackingCollator(self.objective.collator, **settings)(self.examples, len(self.examples))
            assert len(parts) == PARTS[layout]
            every = [self.objective(part) for part in parts]
            losses = {name: torch.stack([one[name] for one in every]).sum() for name in every[0]}
            counts = [part.tokens for part in parts]
            tokens = [
                torch.cat([ids[0, :count] for ids, count in zip(read[side::2], counts, strict=True)]) for side in (0, 1)
            ]
        hook.remove()
        return losses, [ids.numpy() for ids in tokens]

    def gradient_norms(self) -> dict[str, float]:
        """Norms of the gradients of some weights, under the names that the released values have."""
        layers, decoder = self.objective.encoder.bert.encoder.layer, self.objective.model.decoder
        weights = {
            "word_embeddings": self.objective.encoder.bert.embeddings.word_embeddings.weight,
            "layer3_out": layers[3].output.dense.weight,
            "layer0_query": layers[0].attention.self.query.weight,
            "dec0_query": decoder[0].attention.self.query.weight,
            "dec1_out": decoder[1].output.dense.weight,
            "head_dense": self.objective.encoder.cls.predictions.transform.dense.weight,
        }
        return {name: float(weight.grad.double().norm()) for name, weight in weights.items()}

    def generator_learns(self) -> bool:
        """Whether a weight of the generator has a gradient."""
        weights = self.objective.replacer.parameters()
        return any(weight.grad is not None and bool(weight.grad.any()) for weight in weights)

    def layers(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """The layers of the encoder and of the decoder."""
        return list(self.objective.encoder.bert.encoder.layer), list(self.objective.model.decoder)

    def weights_of_packed_copy(self) -> tuple[set[str], set[str]]:
        """Names of the weights that a packed copy trains, and of those that the padded objective trains."""
        packed = copy.deepcopy(self.objective)
        forwards.prepare(packed, compiled=False)
        own = {name for name, _ in self.objective.named_parameters()}
        return {name for name, _ in packed.named_parameters()}, own


def masked_logits(inputs: dict[str, Tensor], masked: Tensor) -> np.ndarray:
    """The generator's logits (masked, vocabulary) at the masked places (passages, width)."""
    model = generator()
    with torch.no_grad():
        return model.generator_lm_head(masked_rows(model, inputs, masked)).double().numpy()


# --- bi-encoder -------------------------------------------------------------------------------------------------------

BIENCODER_LAYOUTS: dict[str, dict[str, Any]] = {
    "padded": {},
    "padded, in pieces by length": {"pieces": 4},
    "padded, gradients cached": {"chunk": 5},
    "packed": {"max_tokens": None},
    "packed, gradients cached": {"max_tokens": 30},
    "packed, filled up": {"max_tokens": None, "round_to": 64, "max_length": 20},
}


class BiEncoderRun:
    """The bi-encoder with the released weights.

    Args:
        layout: one of BIENCODER_LAYOUTS.
        temperature: that scores are divided by.
        alpha: weight of the contrastive loss beside distillation; None without a teacher.
    """

    def __init__(self, layout: str, temperature: float, alpha: float | None = None) -> None:
        self.settings = BIENCODER_LAYOUTS[layout]
        self.packs = layout.startswith("packed")
        self.model = BiEncoder(bert().bert, temperature, alpha)
        if self.packs:
            forwards.prepare(self.model, compiled=False)

    def laid_out(self, batch: dict[str, Any]) -> Texts:
        return PackedTexts(Packer(PAD, **self.settings)(texts(batch))) if self.packs else self.padded(batch)

    def padded(self, batch: dict[str, Any]) -> Texts:
        return PaddedTexts(tensors(batch), **self.settings)

    def losses(
        self, queries: dict[str, Any], passages: dict[str, Any], group: int, teacher: Tensor | None
    ) -> dict[str, Tensor]:
        """The losses by name, and the reciprocal ranks of the positives.

        Args:
            queries: a padded batch.
            passages: a padded batch with ``group`` passages for each query, its positive first.
            group: how many passages a query has.
            teacher: scores (queries, group); None without.
        """
        if self.packs:
            rows = Packed(Packer(PAD, **self.settings)).sides(texts(queries), texts(passages))
            assert (len(rows[0].packs) > 1) == (self.settings["max_tokens"] is not None)
        else:
            rows = self.padded(queries), self.padded(passages)
        return self.model(BiEncoderBatch(rows, len(queries["input_ids"]), teacher))

    def encode(self, batch: dict[str, Any]) -> Tensor:
        """Vectors (texts, width) of queries or of passages."""
        with torch.no_grad():
            return self.laid_out(batch).apply(self.model.encode)

    def gradient_norm(self) -> float:
        """Norm of the gradient of the word embeddings."""
        return float(self.model.encoder.embeddings.word_embeddings.weight.grad.double().norm())


# --- re-ranker --------------------------------------------------------------------------------------------------------


class RerankerRun:
    """The re-ranker with the released weights.

    Args:
        packed: whether pairs are packed.
        gelu: keep the project's head, with random weights, instead of the released one with tanh.
    """

    def __init__(self, packed: bool = False, gelu: bool = False) -> None:
        classifier = reranker_from_encoder(bert().bert)
        if not gelu:
            classifier.classifier.activation = nn.Tanh()
            classifier.classifier.load_state_dict(
                {
                    "dense.weight": WEIGHTS["seqcls.bert.pooler.dense.weight"],
                    "dense.bias": WEIGHTS["seqcls.bert.pooler.dense.bias"],
                    "out_proj.weight": WEIGHTS["seqcls.classifier.weight"],
                    "out_proj.bias": WEIGHTS["seqcls.classifier.bias"],
                }
            )
        self.classifier = copy.deepcopy(classifier)
        classifier.train()
        self.model = Reranker(classifier)
        if packed:
            forwards.prepare(self.model, compiled=False)

    def train(self, mode: bool) -> None:
        self.model.train(mode)

    def logits_of_transformers(self, pairs: dict[str, Any]) -> Tensor:
        """Scores (pairs,) that the model of transformers gives by itself, in evaluation mode."""
        with torch.no_grad():
            return self.classifier.eval()(**tensors(pairs)).logits[:, 0]

    def score_padded(self, inputs: dict[str, Tensor], pieces: int = 1) -> Tensor:
        """Scores (pairs,) of a padded batch, which is cut into ``pieces`` by length."""
        with torch.no_grad():
            return PaddedTexts(inputs, pieces).apply(self.model.score)

    def score_packed(self, rows: Sequence[Text], filled: bool = False) -> Tensor:
        """Scores (pairs,) of one pack, filled up to a fixed size or not."""
        sizes = {"tokens": 256, "sequences": 32, "max_length": 24} if filled else {}
        with torch.no_grad():
            return self.model.score(pack(rows, PAD, **sizes))

    def losses_padded(self, pairs: dict[str, Any], group: int, keep: int) -> dict[str, Any]:
        """Loss, scores (queries, keep) and accuracy; ``keep`` of the ``group`` pairs of a query are trained on."""
        return self.model(RerankerBatch(PaddedTexts(tensors(pairs)), group, keep))

    def losses_packed(self, groups: Sequence[Sequence[Text]], keep: int, max_tokens: int) -> list[dict[str, Tensor]]:
        """The same for each part of at most ``max_tokens``; a query's pairs stay together."""
        return [self.model(part) for part in RerankerCollator(Packed(Packer(PAD, max_tokens)), keep).parts(groups)]


# --- negatives --------------------------------------------------------------------------------------------------------


def lists_as_given(positives: list[list[int]], negatives: list[list[int]]) -> NegativeLists:
    """Lists of passages for each query."""
    width = max(map(len, negatives))
    return NegativeLists(
        np.arange(len(positives)),
        np.concatenate([[0], np.cumsum([len(row) for row in positives])]),
        np.concatenate(positives),
        np.stack([np.pad(row, (0, width - len(row)), constant_values=PADDING) for row in negatives]),
    )


def lists_from_answers(
    positives: list[list[int]], negatives: list[list[int]], scores: list[list[float]]
) -> NegativeLists:
    """The same lists, made from a run in which the positives hold an answer.

    Args:
        positives: passages for each query.
        negatives: passages for each query.
        scores: for each query, of its positives and then of its negatives.
    """
    depth = max(map(len, scores))
    shape = (len(positives), depth)
    indices, values = np.full(shape, PADDING, dtype=np.int64), np.full(shape, -np.inf, dtype=np.float32)
    hits = np.zeros(shape, dtype=bool)
    for row, (own, others) in enumerate(zip(positives, negatives, strict=True)):
        indices[row, : len(own) + len(others)] = own + others
        values[row, : len(own) + len(others)] = scores[row]
        hits[row, : len(own)] = True
    run = Run([str(row) for row in range(len(positives))], indices, values)
    return answered_lists(run, hits, lambda query: np.empty(0, dtype=np.int64), depth)


def groups_of_epoch(lists: NegativeLists, epoch: int, shift: int, group: int) -> list[int]:
    """The passages of all queries, one after the other: ``group`` each, the positive first."""
    return np.concatenate([lists.group(query, epoch, shift, group) for query in range(len(lists))]).tolist()


def pairs_of_epochs(lists: NegativeLists, epochs: int, shift: int, group: int) -> set[tuple[int, int]]:
    """All pairs of a query and a passage that so many epochs meet."""
    queries, passages = lists.drawn(epochs, shift, group)
    return set(zip(queries.tolist(), passages.tolist(), strict=True))
