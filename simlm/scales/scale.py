"""A scale: which collection, which model size, which hyper-parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from simlm.scales.settings import (
    EncoderShape,
    GeneratorShape,
    PretrainingSettings,
    RerankerSettings,
    RetrieverSettings,
    SearchSettings,
)

FLOAT32, BFLOAT16 = PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Scale:
    """Everything that a run's size decides. A model is made here in a shape, or is a public one."""

    name: str
    collection: str
    vocabulary: int | str
    """WordPieces to train on the corpus, or the Hub name or folder of a tokenizer."""
    encoder: EncoderShape | str
    """The shape of `base`, or the Hub name or folder of the model that every row starts from."""
    generator: GeneratorShape | int | str
    """A shape, how many first layers of the public ``encoder`` it starts from, or a Hub name or folder."""
    stand_in: PretrainingSettings | None
    """The short training by which ELECTRA's stand-in differs from BERT's; trials also give it to BERT's."""
    generator_training: PretrainingSettings | None
    pretraining: PretrainingSettings
    pretraining_rates: Mapping[str, float]
    """Pre-training learning rates of the starts for which another than ``pretraining``'s is better on valid."""
    retriever: RetrieverSettings
    distillation: RetrieverSettings
    alpha: float
    """The weight of the contrastive loss beside distillation (Table 13)."""
    reranker_start: str
    """What the re-ranker starts from: a start's name, "simlm" or "electra" for example, or "minilm"."""
    reranker: RerankerSettings
    search: SearchSettings
    tried: Mapping[str, tuple[float, ...]]
    """The values that `repro.tuning` tries on valid, by the setting (`repro.trials.SETTINGS`); {} for none."""
    bm25_grid: tuple[tuple[float, float], ...]
    """The (k1, b) tried on valid."""
    fusion_grid: tuple[float, ...]
    """The weights of the dense run tried on valid."""
    precision: str = BFLOAT16
    """What stages compute products in where the device has it (`simlm.stages.computing`)."""
    location: str = ""
    """The folder of a collection of the reader's own, and the digest of its files (`simlm.data.lookup.Reference`)."""
    digest: str = ""
    qrels_order: bool = False
    """Whether a query's positives are trained on in the order of the qrels, not of the passages."""
    keep_own: bool = False
    """Whether a query that is a passage itself may find that passage (`simlm.data.own_passages`)."""
    extra_test_splits: tuple[str, ...] = ()
    """The collection's test splits beside "test"."""
    by_answers: bool = False
    """Whether passages of a run are told apart by answers when models train on it, as Natural Questions are."""
    part: int = 0
    """In a rehearsal the passages that are kept of the collection beside those judged; 0 for all
    (`simlm.scales.rehearsal`)."""
    starts: Mapping[str, str] = field(default_factory=dict)
    """The Hub name or folder of pre-trained models other than ``encoder``, by the name of their start."""
    retrievers: Mapping[str, RetrieverSettings] = field(default_factory=dict)
    """Settings of Retriever1 for the starts that have others than ``retriever``."""
    head_training: PretrainingSettings | None = None
    """The training of a fresh MLM head over a public ``encoder`` that came without; None where no head is lacking."""
    left_out: tuple[str, ...] = ()
    """The keys of the rows that are measured only if they are named; a grid has no cells of these starts."""

    @property
    def has_papers_models(self) -> bool:
        """Whether every model is the paper's own, from the Hub: only there the generator is a public model too."""
        return isinstance(self.generator, str)
