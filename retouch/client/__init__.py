"""The Python client. `Retouch(url).edit(image, "make the red circle blue")` yields previews and the
result; `AsyncRetouch` does so for asyncio."""

from retouch.client.aio import AsyncRetouch
from retouch.client.codec import answer_of, inputs_of
from retouch.client.feedback import send_feedback
from retouch.client.retry import Retries
from retouch.client.sync import Retouch

__all__ = ["AsyncRetouch", "Retouch", "Retries", "answer_of", "inputs_of", "send_feedback"]
