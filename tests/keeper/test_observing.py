"""What is read of the cluster besides the cache itself."""

import base64
import json

import pytest
from fakes import EVERYTHING, FakeCluster
from samples import settings
from structlog.testing import capture_logs

from kip.core.rights import Rights
from kip.keeper.observing import read_credentials

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
