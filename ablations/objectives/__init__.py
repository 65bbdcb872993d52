"""Objectives to compare SimLM with (Tables 7 and 12, and two beyond the paper).

Each is one class in one file behind the core's Objective interface.
"""
