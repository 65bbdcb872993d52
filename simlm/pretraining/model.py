"""The bottleneck model (Section 3.1, Figure 2): a deep encoder, a shallow decoder, [CLS] as the only bridge."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from transformers import BertForMaskedLM, PretrainedConfig
from transformers.masking_utils import create_bidirectional_mask

from simlm.errors import UserError

DECODER_LAYERS = 2


def bridged(
    layers: Iterable[nn.Module], config: PretrainedConfig, cls: Tensor, states: Tensor, attention_mask: Tensor
) -> Tensor:
    """Return states (B, L, H) after BERT's layers that read ``cls`` at position 0 and ``states`` from position 1 on.

    Args:
        layers: layers of BERT.
        config: that of the model which the layers belong to.
        cls: (B, 1, H).
        states: (B, L, H).
        attention_mask: (B, L).
    """
    hidden = torch.cat([cls, states[:, 1:]], dim=1)
    mask = create_bidirectional_mask(config=config, inputs_embeds=hidden, attention_mask=attention_mask)
    for layer in layers:
        output = layer(hidden, attention_mask=mask)
        hidden = output[0] if isinstance(output, tuple) else output
    return hidden


class BottleneckModel(nn.Module):
    """BERT with its MLM head, and a two-layer decoder that starts as copies of BERT's last two layers.

    The decoder reads the encoder's last-layer [CLS] vector, as it is, at position 0, and the embedding output of its
    own tokens from position 1 on. Embeddings and MLM head are shared, and get gradients from both sides.
    """

    def __init__(self, encoder: BertForMaskedLM, decoder_layers: int = DECODER_LAYERS) -> None:
        super().__init__()
        layers = encoder.bert.encoder.layer
        if len(layers) < decoder_layers:
            raise UserError(
                f"the encoder has {len(layers)} layers, the decoder copies its last {decoder_layers}: "
                "use a deeper encoder"
            )
        self.encoder = encoder
        self.decoder = nn.ModuleList(copy.deepcopy(layer) for layer in layers[-decoder_layers:])

    def encode(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Return the last hidden states (B, L, H) of the encoder."""
        output = self.encoder.bert(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)
        hidden: Tensor = output.last_hidden_state
        return hidden

    def decode(self, cls: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the decoder's last hidden states (B, L, H), from ``cls`` (B, H) and its own tokens (B, L)."""
        embedded = self.encoder.bert.embeddings(input_ids=input_ids)  # token type 0 everywhere, a dropout of its own
        return bridged(self.decoder, self.encoder.config, cls.unsqueeze(1), embedded, attention_mask)
