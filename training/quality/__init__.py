"""The evaluator of edits: its examples, its training, what it reaches, and its thresholds."""
