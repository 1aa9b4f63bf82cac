"""The consoles that commands print to."""

from __future__ import annotations

from rich.console import Console

console = Console(highlight=False)
# errors, and all text where standard output carries data
error_console = Console(highlight=False, stderr=True)


def is_interactive(output: Console) -> bool:
    """Whether `output` is a terminal. A pipe gets no progress bar, even if colours are forced."""
    return output.is_terminal and output.file.isatty()
