"""Picture files as people have them: their containers, colours and transparency."""
