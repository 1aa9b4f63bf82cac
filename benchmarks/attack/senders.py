"""Send one hostile request, wait for its answer within a time-out, and classify it."""

from __future__ import annotations

import http.client
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass

import tritonclient.grpc as grpc

from benchmarks.attack.outcomes import (
    ANSWERED,
    DROPPED,
    FAILED,
    HUNG,
    REFUSED,
    outcome_of_message,
)
from retouch.launcher.server import HOST

TIMEOUT = 60.0  # seconds; whatever has no answer then is hung
INTERNAL = "[code=INTERNAL"  # in the text of an error


@dataclass(frozen=True)
class Verdict:
    outcome: str
    detail: str = ""
    seconds: float = 0.0


def timed(send: Callable[[], Verdict]) -> Verdict:
    begin = time.monotonic()
    verdict = send()
    return Verdict(verdict.outcome, verdict.detail, time.monotonic() - begin)


def send_grpc(port: int, model: str, inputs: list[grpc.InferInput]) -> Verdict:
    """One request on a stream of its own; the verdict is that of its first answer or error."""
    answers: queue.Queue = queue.Queue()
    answered = False
    client = grpc.InferenceServerClient(f"{HOST}:{port}")
    try:
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer(model, inputs)
        result, error = answers.get(timeout=TIMEOUT)
        answered = True
    except queue.Empty:
        return Verdict(HUNG, model)
    except Exception as failure:  # refused by the client's own library
        return Verdict(REFUSED, str(failure))
    finally:
        client.stop_stream(cancel_requests=not answered)  # cancelling what ends may end the server
        client.close()
    if error is None:
        return Verdict(ANSWERED)
    message = error.message()
    return Verdict(outcome_of_message(message, INTERNAL in message), message)


def send_http(port: int, path: str, headers: dict[str, str], body: bytes) -> Verdict:
    """One POST on a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except TimeoutError:
        return Verdict(HUNG, path)
    except (http.client.HTTPException, OSError) as failure:
        return Verdict(DROPPED, repr(failure))
    finally:
        connection.close()
    if '"error"' not in text and response.status == 200:
        return Verdict(ANSWERED)
    if response.status == 500 and INTERNAL in text:
        return Verdict(FAILED, text)
    return Verdict(outcome_of_message(text or "no body", INTERNAL in text), text)
