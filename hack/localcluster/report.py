"""What people see while something takes its time: short lines on standard error."""

import sys


def say(text: str, *, end: str = "\n") -> None:
    """Print a line of progress at once."""
    print(text, end=end, file=sys.stderr, flush=True)
