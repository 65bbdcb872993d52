"""The encoder of a published dense system: how it reads titles and texts, and how tokens become a vector."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, DPRContextEncoder, DPRQuestionEncoder, PreTrainedModel

from baselines.system import Title
from simlm.data.tokenizer import Specials
from simlm.data.tokens import TokenStore
from simlm.errors import UserError
from simlm.models.load import load_checkpoint

Ids = npt.NDArray[np.int32]
WITHOUT_POOLER = ("bert", "roberta")
"""Their pooler is no part of any vector here, and many checkpoints lack it."""
MODES = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens"}


class Texts(TokenStore):
    """A store of titles and texts, or of queries, as a system reads them; nothing changes on disk.

    ``prompt`` (m,) are pieces that stand before every title, or before every text where there is none.
    """

    def __init__(self, store: TokenStore, title: Title, prompt: Ids, specials: Specials) -> None:
        super().__init__(store.folder)
        self._store, self._form, self._prompt, self._specials = store, title, prompt, specials
        self.has_titles = store.has_titles and title == "pair"
        lengths = store.lengths
        if store.has_titles and title == "none":
            lengths = np.diff(self._bounds)[1::2].astype(np.int32)
        added = len(prompt) + (store.has_titles and title == "separated")
        self.lengths = lengths + np.int32(added) if added else lengths

    def __reduce__(self) -> tuple[Any, ...]:
        return Texts, (self._store, self._form, self._prompt, self._specials)

    def title(self, index: int) -> Ids | None:
        """Return the pieces of a title, of a pair; None where title and text are one part."""
        found = self._store.title(index) if self.has_titles else None
        return None if found is None else np.concatenate([self._prompt, found])

    def text(self, index: int) -> Ids:
        """Return the pieces of a text, its title included where they are one part."""
        text = self._store.text(index)
        if self.has_titles:
            return text
        title = None if self._form == "none" else self._store.title(index)
        if title is None:
            return np.concatenate([self._prompt, text])
        between = [self._specials.sep] if self._form == "separated" else []
        return np.concatenate([self._prompt, title, np.array(between, dtype=np.int32), text])


class Encoder(nn.Module):
    """A transformer, the pooling of its last layer, and the modules on top.

    ``token_types`` says whether a pair's second part has type 1; models without types are given none.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        pooling: Literal["cls", "mean"],
        head: nn.Module,
        normalised: bool,
        token_types: bool,
    ) -> None:
        super().__init__()
        self.model, self.head = model, head
        self.pooling, self.normalised, self.token_types = pooling, normalised, token_types
        self.typed = int(getattr(model.config, "type_vocab_size", 0)) > 1

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Encode input_ids, attention_mask and token_type_ids, (N, L) each, to vectors (N, d) float32."""
        given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        if self.typed:
            types = inputs["token_type_ids"]
            given["token_type_ids"] = types if self.token_types else torch.zeros_like(types)
        states = self.model(**given).last_hidden_state  # (N, L, d)
        if self.pooling == "cls":
            pooled = states[:, 0]
        else:
            mask = inputs["attention_mask"][:, :, None].to(states.dtype)
            pooled = (states * mask).sum(1) / mask.sum(1)
        vectors: Tensor = self.head(pooled).float()
        return functional.normalize(vectors, dim=-1) if self.normalised else vectors


def load_encoder(
    folder: Path,
    pooling: Literal["cls", "mean"],
    head: tuple[str, ...] = (),
    normalised: bool = False,
    token_types: bool = False,
) -> Encoder:
    """Load the encoder in a folder of config.json and safetensors, in float32 and ready to encode.

    Args:
        folder: What was copied of the repository.
        pooling, head, normalised, token_types: As of `Encoder` and `baselines.system.System`.

    Raises:
        UserError: The checkpoint is damaged or another model's, lacks modules of ``head``, or its own description of
            its pooling (sentence-transformers' 1_Pooling) is another.
    """
    check_pooling(folder, pooling)
    return Encoder(_body(folder), pooling, _head(folder, head), normalised, token_types).eval()


def check_pooling(folder: Path, pooling: Literal["cls", "mean"]) -> None:
    """Refuse a model whose own description of its pooling, sentence-transformers', says otherwise."""
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        modes = {str(said["pooling_mode"])} if "pooling_mode" in said else {k for k, v in MODES.items() if said.get(v)}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); fetch the repository again") from None
    if modes != {pooling}:
        raise UserError(
            f"{path}: says {' and '.join(sorted(modes)) or 'no known'} pooling, and the declaration in "
            f"baselines/systems.py {pooling}; correct the one that is wrong"
        )


def _body(folder: Path) -> PreTrainedModel:
    try:
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=False)
    except Exception as error:  # a configuration of the wrong kind raises whatever its reader stumbled over
        raise UserError(f"{folder}: no config.json of a model ({error}); fetch the repository again") from error
    if config.model_type == "dpr":
        context = any("Context" in name for name in config.architectures or [])
        model = load_checkpoint(DPRContextEncoder if context else DPRQuestionEncoder, folder)
        body: PreTrainedModel = (model.ctx_encoder if context else model.question_encoder).bert_model
        if config.projection_dim:
            raise UserError(f"{folder}: a DPR encoder with a projection, which none of the paper's has; use another")
        return body
    extra = {"add_pooling_layer": False} if config.model_type in WITHOUT_POOLER else {}
    loaded: PreTrainedModel = load_checkpoint(AutoModel, folder, **extra)
    return loaded


def _head(folder: Path, names: tuple[str, ...]) -> nn.Module:
    """Load the modules of these names, in turn: with a matrix a linear map, else a layer norm."""
    weights = _weights(folder, names)
    modules: list[nn.Module] = []
    for name in names:
        try:
            weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        except KeyError as error:
            raise UserError(f"{folder}: its weights lack {error}; fetch the repository again") from None
        module: Any = nn.Linear(weight.shape[1], weight.shape[0]) if weight.ndim == 2 else nn.LayerNorm(len(weight))
        module.load_state_dict({"weight": weight.float(), "bias": bias.float()})
        modules.append(module)
    return nn.Sequential(*modules)


def _weights(folder: Path, names: tuple[str, ...]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")) if names else ():
        with safe_open(path, "pt") as file:
            wanted = [key for key in file.keys() if key.rpartition(".")[0] in names]  # noqa: SIM118
            found |= {key: file.get_tensor(key) for key in wanted}
    return found
