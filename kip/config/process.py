"""The few settings that a process needs before it can read the others: how to log, and where to listen."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """Taken from the environment once, at start."""

    log_format: str
    log_level: str
    http_address: str
