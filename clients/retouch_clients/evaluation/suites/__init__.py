"""The suites that `retouch evaluate` knows: their data, the folders of their authors' scripts, what
a judge is asked, and their formulas."""

from __future__ import annotations

from retouch_clients.evaluation.suites.base import Suite, SuiteError
from retouch_clients.evaluation.suites.gedit import GEdit
from retouch_clients.evaluation.suites.imgedit import ImgEdit
from retouch_clients.evaluation.suites.kris import Kris
from retouch_clients.evaluation.suites.rise import Rise

SUITES: dict[str, Suite] = {suite.name: suite for suite in (Rise(), GEdit(), ImgEdit(), Kris())}

__all__ = ["SUITES", "Suite", "SuiteError"]
