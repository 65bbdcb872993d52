"""SimLM (Wang et al., ACL 2023): pre-training with a representation bottleneck for dense retrieval."""

__version__ = "0.1.0"
