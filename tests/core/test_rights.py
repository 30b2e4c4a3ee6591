"""Reading a SelfSubjectRulesReview."""

import pytest

from kip.core.rights import read_rights

REVIEW = {
    "status": {
        "incomplete": False,
        "resourceRules": [
            {"verbs": ["get", "list"], "apiGroups": ["apps"], "resources": ["daemonsets"]},
            {"verbs": ["*"], "apiGroups": [""], "resources": ["pods"]},
            {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["mine"]},
        ],
    }
}


@pytest.mark.parametrize(
    ("verb", "resource", "group", "name", "allowed"),
    [
        ("get", "daemonsets", "apps", "", True),
        ("patch", "daemonsets", "apps", "", False),
        ("get", "daemonsets", "", "", False),
        ("watch", "pods", "", "", True),
        ("get", "configmaps", "", "mine", True),
        ("get", "configmaps", "", "theirs", False),
        ("get", "configmaps", "", "", False),
    ],
)
def test_a_right_is_there_when_one_rule_grants_it(verb, resource, group, name, allowed):
    assert read_rights(REVIEW).allow(verb, resource, group=group, name=name) is allowed


def test_an_empty_answer_grants_nothing():
    assert not read_rights({}).allow("get", "pods")
