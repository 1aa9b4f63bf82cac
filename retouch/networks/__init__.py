"""The networks in torch: what is exported, and what the backend `torch` runs.

A checkpoint's `model_index.json` names `retouch.networks` as the library of InstructX's own parts.
"""

from retouch.networks.instructx import Connector, MetaQueries, ParserHeads

__all__ = ["Connector", "MetaQueries", "ParserHeads"]
