"""Whether a stream of scores has changed: ADWIN, Page-Hinkley, and the population stability
index."""
