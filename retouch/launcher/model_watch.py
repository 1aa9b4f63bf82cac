"""Whether the models of a server are still loaded: a thread polls its repository index."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading

from retouch.launcher.secret import http_headers

EVERY = 1.0  # seconds between polls
STARTING = 0.2  # the same until all models are ready
TIMEOUT = 5.0  # seconds for one response; a busy server must not be stopped


class ModelWatch:
    """Polls the server at this host and HTTP port. `ready`: all `models` have been ready once;
    `gone`: models that no longer are."""

    def __init__(self, host: str, port: int, secret: str, models: list[str], every: float = EVERY):
        self.ready = False
        self.gone: list[str] = []
        self._host = host
        self._port = port
        self._secret = secret
        self._models = models
        self._every = every
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="model watch", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while (
            not self._stopped.wait(self._every if self.ready else min(self._every, STARTING))
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
        """State by model name; None without a valid response."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
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
