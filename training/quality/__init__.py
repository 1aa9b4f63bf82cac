"""What the evaluator of answers is made with, and what its thresholds are certified by."""
