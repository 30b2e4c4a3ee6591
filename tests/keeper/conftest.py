"""Keepers of one cache, and what they log."""

from collections.abc import Iterator

import pytest
from leasescene import Scene
from structlog.testing import capture_logs


@pytest.fixture
def scene() -> Iterator[Scene]:
    with capture_logs() as log:
        found = Scene()
        found.log = log
        yield found
