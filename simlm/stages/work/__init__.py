"""What stages do when they run, each step of the pipeline in one module that reads from top to bottom.

A stage's class is imported by every command and must import nothing slow; these modules import torch and transformers,
and a stage imports its own when it runs. They know no stages: they are given settings, collections and folders.
"""
