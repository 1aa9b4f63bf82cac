"""How good an answer is, by measures of its pixels; and whether that changes over time."""
