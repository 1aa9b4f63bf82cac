"""Metrics of one edit: what stayed, whether the instruction was followed, how plausible it is."""
