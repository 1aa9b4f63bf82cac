"""The Python client: `Retouch(url).edit(image, "make the red circle blue")` yields previews and the result; `AsyncRetouch`
does the same for asyncio."""

from retouch.client.asynchronous import AsyncRetouch
from retouch.client.messages import answer_of, inputs_of
from retouch.client.retries import Retries
from retouch.client.synchronous import Retouch

__all__ = ["AsyncRetouch", "Retouch", "Retries", "answer_of", "inputs_of"]
