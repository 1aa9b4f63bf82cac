"""Retouch's log lines on Triton's logger."""

from __future__ import annotations

import logging

import triton_python_backend_utils as pb_utils

from retouch.util.request_log import RequestFormatter, add_handler


class TritonHandler(logging.Handler):
    """Passes records to Triton's logger at the nearest level. Any thread may log."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _function(record.levelno)(self.format(record))
        except Exception:
            self.handleError(record)


def log_to_triton() -> None:
    """Once in each model's process."""
    handler = TritonHandler()
    handler.setFormatter(RequestFormatter())
    add_handler(handler)


def _function(level: int):
    if level >= logging.ERROR:
        return pb_utils.Logger.log_error
    if level >= logging.WARNING:
        return pb_utils.Logger.log_warn
    if level >= logging.INFO:
        return pb_utils.Logger.log_info
    return pb_utils.Logger.log_verbose
