"""Whether a server's models are still there, by its repository index, asked again and again by a
thread of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading

from retouch.launcher.secret import http_headers

EVERY = 1.0  # seconds
STARTING = 0.2  # the same until all models are ready
PATIENCE = 5.0  # seconds for one answer; a busy server is no reason to stop it


class ModelWatch:
    """Of the server at this host and HTTP port. `ready`: all `models` have been ready once; `gone`:
    those that no longer are."""

    def __init__(self, host: str, port: int, secret: str, models: list[str], every: float = EVERY):
        self.ready = False
        self.gone: list[str] = []
        self._host = host
        self._port = port
        self._secret = secret
        self._models = models
        self._every = every
        self._over = threading.Event()
        threading.Thread(target=self._run, name="model watch", daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def _run(self) -> None:
        while (
            not self._over.wait(self._every if self.ready else min(self._every, STARTING))
            and not self.gone
        ):
            states = self._states()
            if states is None:
                continue
            missing = [name for name in self._models if states.get(name) != "READY"]
            if not missing:
                self.ready = True
            elif self.ready:
                self.gone = missing

    def _states(self) -> dict[str, str] | None:
        """By model; None when the server gives no answer that can be read."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE)
        with (
            contextlib.closing(connection),
            contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError),
        ):
            connection.request("POST", "/v2/repository/index", "{}", http_headers(self._secret))
            response = connection.getresponse()
            body = response.read()
            if response.status == 200:
                return {entry["name"]: entry.get("state", "") for entry in json.loads(body)}
        return None
