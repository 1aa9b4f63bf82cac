# Not installed where types are checked: every attribute is known, and of any type.
from typing import Any

def __getattr__(name: str) -> Any: ...
