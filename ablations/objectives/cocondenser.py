"""coCondenser (Gao and Callan, ACL 2022): Condenser, and spans of one passage must have similar [CLS] vectors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import BertForMaskedLM, ElectraForMaskedLM, PreTrainedModel

from ablations.objectives.condenser import Condenser, corrupted_batch
from simlm.data.inputs import Encoded, Ids, query_input
from simlm.errors import UserError
from simlm.pretraining.batch import Batch
from simlm.pretraining.masking import WordPieces, stateless_rng
from simlm.pretraining.objective import Example, ObjectiveConfig, PackableObjective


def text_of(example: Example) -> Ids:
    """Return the pieces of a passage's text: segment B where there is a title, otherwise all but [CLS] and [SEP]."""
    segment = example.ids[example.types == 1] if example.types.any() else example.ids[1:]
    return segment[:-1]


def halves(text: Ids, pieces: WordPieces) -> tuple[Ids, Ids]:
    """Cut ``text`` (length,) in two where a word starts, as near the middle as can be, the earlier place of two.

    The second half is empty when the text has fewer than two words.
    """
    starts = [start for start, _ in pieces.words(text)[1:]] if len(text) else []
    cut = min(starts, key=lambda start: abs(2 * start - len(text)), default=len(text))
    return text[:cut], text[cut:]


@dataclass(frozen=True)
class SpanCollator:
    """Two spans a passage, corrupted as Condenser does, keyed by (seed, epoch, passage).

    The batch is ``corrupted_batch``'s of 2 B rows, the two spans of passage b at rows 2b and 2b + 1; and ``paired``
    (2 B,) of bool, false for both spans of a passage that cannot be cut.
    """

    pieces: WordPieces
    config: ObjectiveConfig

    def __call__(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        spans = [halves(text_of(example), self.pieces) for example in examples]
        batch = corrupted_batch(self._rows(examples, spans), self.pieces, self.config.encoder_rate)
        paired = torch.tensor([len(second) > 0 for _, second in spans], dtype=torch.bool)
        return batch | {"paired": paired.repeat_interleave(2)}

    def _rows(
        self, examples: Sequence[Example], spans: Sequence[tuple[Ids, Ids]]
    ) -> Iterator[tuple[Encoded, np.random.Generator]]:
        for example, pair in zip(examples, spans, strict=True):
            rng = stateless_rng(self.config.seed, example.epoch, example.passage)
            for span in pair:
                yield query_input(span, len(span) + 2, self.pieces.specials), rng  # both masks from one stream


def span_loss(vectors: Tensor) -> Tensor:
    """Mean over 2 n spans of -log softmax of the inner products with all other spans, at its own passage's other span.

    ``vectors`` (2 n, H), the two spans of a passage next to each other; no normalisation and no temperature. Computed
    in float32 (float64 stays float64), also under autocast. 0 when there is none, and with one passage alone.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
        itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
        scores = (vectors @ vectors.T).masked_fill(itself, float("-inf"))  # (2 n, 2 n)
        partner = torch.arange(len(vectors), device=vectors.device) ^ 1  # 1, 0, 3, 2, ...
        return functional.cross_entropy(scores, partner, reduction="sum") / max(1, len(vectors))


class CoCondenser(PackableObjective):
    """Gao and Callan, "Unsupervised Corpus Aware Language Model Pre-training for Dense Passage Retrieval" (ACL 2022).

    Inputs: two spans of each passage, masked like Condenser's. Loss: Condenser's two MLM losses over all 2 B spans plus
    a contrastive loss on the encoder's last-layer [CLS] vectors: of each span, the other one of its passage is the
    positive and the other 2 B - 2 of the batch are the negatives; inner product, no temperature, weight 1, as in the
    release.

    Stated choices. The spans are the two halves of the passage's text, each [CLS] half [SEP]: passages here are about
    as long as one of the paper's spans, of which it draws two from a whole document. A title is left out, since it
    would be in neither half of the text or give the pair away. A text of one word cannot be cut: it counts in the MLM
    losses only (the release drops documents of one span). Negatives come from the micro-batch on one device: no
    gradient cache and no gathering. Its loss therefore falls with the size of the batch that it is taken on. The
    encoder starts where every other objective's does, not from a Condenser as in the paper.
    """

    needs_generator = False
    word_losses = ("encoder_loss", "head_loss")
    whole_groups = True

    def __init__(self, condenser: Condenser, collator: SpanCollator) -> None:
        super().__init__()
        self.condenser = condenser
        self.collator = collator

    @classmethod
    def build(
        cls, encoder: PreTrainedModel, generator: ElectraForMaskedLM | None, pieces: WordPieces, config: ObjectiveConfig
    ) -> "CoCondenser":
        if not isinstance(encoder, BertForMaskedLM):
            raise UserError(f"coCondenser needs a BERT encoder with its MLM head, not {type(encoder).__name__}")
        return cls(Condenser.build(encoder, None, pieces, config), SpanCollator(pieces, config))

    @property
    def encoder(self) -> BertForMaskedLM:
        return self.condenser.encoder

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return {"loss", "encoder_loss", "head_loss", "span_loss"}; the batch is ``SpanCollator``'s."""
        losses, cls = self.condenser.losses_and_vectors(batch)
        of_spans = batch.by_group(lambda vectors, paired: span_loss(vectors[paired]), cls, batch["paired"])
        return losses | {"loss": losses["loss"] + of_spans, "span_loss": of_spans.detach()}
