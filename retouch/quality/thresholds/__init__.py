"""Thresholds of scores: how they are chosen, their bounds, and the file that holds them."""
