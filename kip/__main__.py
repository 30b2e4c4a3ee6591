"""The program `kip`, and `python -m kip`."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn


def main() -> None:
    """Run the command line; a keeper that is still starting ends by a signal at once."""
    if sys.argv[1:2] == ["run"]:
        _end_by_signals()
    from kip.cli.main import main as command_line  # noqa: PLC0415 - a signal has to count while it is imported

    command_line()


def _end_by_signals() -> None:
    """Have SIGTERM and SIGINT end this process until the keeper's loop takes them over.

    The first process of a container is not ended by a signal that it does not handle, and the imports alone
    take a second of CPU: the kubelet would wait for its whole grace period.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    # Nothing is held or begun yet, and an exception could be swallowed by whatever is being imported.
    os._exit(0)


if __name__ == "__main__":
    main()
