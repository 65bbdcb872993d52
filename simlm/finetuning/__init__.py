"""Bi-encoder, contrastive loss, re-ranker, distillation and hard negatives (Section 3.2)."""
