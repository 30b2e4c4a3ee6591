"""Logs: events as snake_case constants, data in keys. JSON lines, or columns for people on a terminal."""

import logging
import sys
from typing import Any, TextIO

import structlog

from kip.redact import redact


def configure(log_format: str = "auto", level: str = "info", *, stream: TextIO | None = None) -> None:
    """Set up logging for the process, to standard output, where container logs are read from.

    `log_format` is auto, json or console; auto means console on a terminal and JSON lines elsewhere.
    """
    out = stream or sys.stdout
    console = log_format == "console" or (log_format == "auto" and out.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(default=str)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _tidy,
            _redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        # One write for a line, so that no signal cuts it.
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=stream is None,
    )


def _redact(_logger: Any, _method: str, event: Any) -> Any:
    return redact(event)


def _tidy(_logger: Any, _method: str, event: Any) -> Any:
    """Put first what is on every line, and leave out what is None."""
    first = {key: event.pop(key) for key in ("timestamp", "level", "event")}
    return first | {key: value for key, value in event.items() if value is not None}
