"""Training and evaluation of the shipped checkpoint: scenes, sentences, losses, stages."""
