"""How the shipped checkpoint is made: scenes, sentences, losses, stages."""
