"""The error of sentences that the grammar cannot write."""


class GrammarError(ValueError):
    """A pattern is malformed, or no line of the grammar fits an operation."""
