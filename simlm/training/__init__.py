"""The one training loop: transformers' Trainer with bitwise resume, used by every stage that trains."""
