"""The checkpoint in checkpoints/shapes: what it can do, and example edits."""
