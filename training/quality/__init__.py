"""The evaluator of edits: its examples, its training and what it reaches."""
