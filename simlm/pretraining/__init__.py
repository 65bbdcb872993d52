"""Whole-word masks, generator sampling and pre-training with a representation bottleneck (Section 3.1)."""
