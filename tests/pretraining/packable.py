"""Every objective that has a packed form, small and without dropout."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ablations.objectives.autoencoder import AutoEncoder
from ablations.objectives.cocondenser import CoCondenser
from ablations.objectives.condenser import Condenser
from ablations.objectives.cropping import IndependentCropping
from ablations.objectives.diffcse import DiffCSE
from ablations.objectives.enc_dec_mlm import EncDecMLM
from ablations.objectives.enc_dec_rtd import EncDecRTD
from ablations.objectives.inverse_cloze import InverseCloze
from ablations.objectives.joint_generator import JointReplacedLM
from ablations.objectives.rtd import ReplacedTokenDetection
from simlm.pretraining.mlm import MaskedLM
from simlm.pretraining.objective import PackableObjective
from simlm.pretraining.packed_batch import MaskedPack
from simlm.pretraining.replaced_lm import ReplacedLM
from simlm.pretraining.sentence_order import OrderedMLM
from tests.pretraining.toys import CONFIG, PIECES, bert, electra

PACKABLE: Mapping[str, Callable[[], PackableObjective]] = {
    "replaced LM": lambda: ReplacedLM.build(bert(), electra(), PIECES, CONFIG),
    "joint generator": lambda: JointReplacedLM.build(bert(), electra(), PIECES, CONFIG),
    "MLM": lambda: MaskedLM.build(bert(), None, PIECES, CONFIG),
    "MLM with sentence order": lambda: OrderedMLM.build(bert(), None, PIECES, CONFIG),
    "generator": lambda: MaskedLM.build(electra(), None, PIECES, CONFIG),
    "Enc-Dec MLM": lambda: EncDecMLM.build(bert(), None, PIECES, CONFIG),
    "Condenser": lambda: Condenser.build(bert(layers=4), None, PIECES, CONFIG),
    "coCondenser": lambda: CoCondenser.build(bert(layers=4), None, PIECES, CONFIG),
    "Enc-Dec RTD": lambda: EncDecRTD.build(bert(), electra(), PIECES, CONFIG),
    "RTD": lambda: ReplacedTokenDetection.build(bert(), electra(), PIECES, CONFIG),
    "DiffCSE": lambda: DiffCSE.build(bert(), electra(), PIECES, CONFIG).eval(),  # its dropout is on otherwise
    "ICT": lambda: InverseCloze.build(bert(), None, PIECES, CONFIG),
    "cropping": lambda: IndependentCropping.build(bert(), None, PIECES, CONFIG),
    "AutoEncoder": lambda: AutoEncoder.build(bert(), None, PIECES, CONFIG),
}


def summed(model: PackableObjective, parts: list[MaskedPack]) -> dict[str, Tensor]:
    """The losses of all parts, added up."""
    outputs = [model(part) for part in parts]
    return {name: torch.stack([output[name] for output in outputs]).sum() for name in outputs[0]}
