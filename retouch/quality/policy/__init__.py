"""What becomes of an answer by its scores: settings, decisions, their log, estimates from it."""
