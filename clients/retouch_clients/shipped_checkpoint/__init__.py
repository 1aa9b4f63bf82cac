"""The shipped checkpoint: its folder, what it can do, and example edits."""

from retouch.launcher.server import ROOT

SHIPPED = ROOT / "checkpoints" / "photo"
