"""What is read of the cluster besides the cache itself."""

import base64
import json
from datetime import UTC, datetime

import pytest
from fakes import EVERYTHING, FakeCluster
from samples import manifest, settings, stored
from structlog.testing import capture_logs

from kip.cluster.api import Listing
from kip.cluster.reads import read_credentials, read_images
from kip.core.rights import Rights

CHOSEN = settings(IMAGE_PULL_SECRETS="first")


def secret(text: str) -> dict:
    return {
        "kind": "Secret",
        "metadata": {"namespace": "images", "name": "first"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(text.encode()).decode()},
    }


GOOD = json.dumps({"auths": {"registry.example": {"username": "me", "password": "hush"}}})


@pytest.mark.parametrize(("rights", "found"), [(EVERYTHING, ["registry.example"]), (Rights(), [])])
def test_pull_secrets_are_read_where_that_is_allowed(rights, found):
    credentials = read_credentials(FakeCluster(secret(GOOD)), CHOSEN, rights)
    assert [item.registry for item in credentials] == found


def test_a_pull_secret_that_cannot_be_used_is_told_without_what_is_in_it():
    with capture_logs() as logs:
        read_credentials(FakeCluster(secret('{"auths": {"x": {"auth": "hush"}}}')), CHOSEN, EVERYTHING)
    assert ([line["event"] for line in logs], "hush" in str(logs)) == (["pull_secret_unusable"], False)


def test_a_pull_secret_that_is_not_there_says_nothing():
    assert read_credentials(FakeCluster(), CHOSEN, EVERYTHING) == ()


def test_between_the_pages_of_pods_there_is_time_for_more():
    class Paged(FakeCluster):
        def pages(self, _selection):
            yield from (Listing((), "1"), Listing((), "1"))

    turns: list[int] = []
    read_images(
        Paged(), stored(manifest()), datetime(2026, 11, 21, tzinfo=UTC), between=lambda: turns.append(1)
    )
    assert len(turns) == 2
