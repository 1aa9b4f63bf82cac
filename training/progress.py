"""Progress bars of long work, in a terminal alone."""

import sys
from functools import partial

from rich.progress import track

bar = partial(track, transient=True, disable=not sys.stdout.isatty())
