from datetime import timedelta
from types import MappingProxyType

import pytest

from kip.config.images import CacheImage
from kip.config.settings import LogFormat, LogLevel, Platform, PullPolicy, ReadyWhen, Refresh, read_settings
from kip.config.table import SETTINGS
from kip.errors import SettingsError

LEAST = MappingProxyType({"IMAGES": "a=x:1"})
FIELDS = {setting.key: setting.field for setting in SETTINGS}
IN_ZONE = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]
        }
    }
}
IN_ZONE_JSON = (
    '{"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": '
    '[{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}}}'
)
APART = {
    "podAntiAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {
                "weight": 5,
                "podAffinityTerm": {"topologyKey": "host", "labelSelector": {"matchLabels": {"app": "db"}}},
            }
        ]
    }
}
APART_YAML = """
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
  - weight: 5
    podAffinityTerm:
      topologyKey: host
      namespaceSelector: null
      labelSelector: {matchLabels: {app: db}}
"""

GOOD = [
    ("CACHING_INTERVAL_HOURS", "2", timedelta(hours=2)),
    ("CACHING_INTERVAL_HOURS", " 2\n", timedelta(hours=2)),
    ("CACHING_INTERVAL_HOURS", "0.5", timedelta(minutes=30)),
    ("CACHING_INTERVAL_HOURS", "+1", timedelta(hours=1)),
    ("CACHING_INTERVAL_HOURS", "87600", timedelta(days=3650)),
    ("IMAGES", "a=x:1;b=y:2", (CacheImage("a", "x:1"), CacheImage("b", "y:2"))),
    ("CACHING_MEMORY_REQUEST", "1Mi", "1Mi"),
    ("CACHING_MEMORY_LIMIT", "0", "0"),
    ("CACHING_MEMORY_LIMIT", "1e9", "1e9"),
    ("CACHING_CPU_REQUEST", ".2", ".2"),
    ("CACHING_CPU_LIMIT", "200m", "200m"),
    ("DAEMONSET_NAME", "my.cache-1", "my.cache-1"),
    (
        "DAEMONSET_ANNOTATIONS",
        '{"example.com/a": "any: thing, at all"}',
        {"example.com/a": "any: thing, at all"},
    ),
    ("DAEMONSET_ANNOTATIONS", "example.com/A: https://x:80/", {"example.com/A": "https://x:80/"}),
    ("DAEMONSET_ANNOTATIONS", "a=1,b=2", {"a": "1", "b": "2"}),
    ("NAMESPACE", "che", "che"),
    ("NODE_SELECTOR", '{"kubernetes.io/arch": "amd64"}', {"kubernetes.io/arch": "amd64"}),
    ("NODE_SELECTOR", "disk: ssd\nzone: a", {"disk": "ssd", "zone": "a"}),
    ("NODE_SELECTOR", "disk=ssd,zone=a", {"disk": "ssd", "zone": "a"}),
    ("NODE_SELECTOR", "disk:ssd", {"disk": "ssd"}),
    ("NODE_SELECTOR", "{disk:ssd}", {"disk": "ssd"}),
    ("NODE_SELECTOR", "disk: ssd, zone: a", {"disk": "ssd", "zone": "a"}),
    ("NODE_SELECTOR", "node-role.kubernetes.io/worker=", {"node-role.kubernetes.io/worker": ""}),
    ("NODE_SELECTOR", "null", {}),
    ("IMAGE_PULL_SECRETS", "a; b;", ("a", "b")),
    ("IMAGE_PULL_SECRETS", "a,b\nc d", ("a", "b", "c", "d")),
    ("IMAGE_PULL_SECRETS", '["a", {"name": "b"}]', ("a", "b")),
    ("IMAGE_PULL_SECRETS", "- a\n- b", ("a", "b")),
    ("AFFINITY", IN_ZONE_JSON, IN_ZONE),
    ("AFFINITY", APART_YAML, APART),
    ("AFFINITY", "{}", {}),
    ("TOLERATIONS", '[{"operator": "Exists"}]', ({"operator": "Exists"},)),
    (
        "TOLERATIONS",
        "- {key: gpu, value: a, effect: NoSchedule}",
        ({"key": "gpu", "value": "a", "effect": "NoSchedule"},),
    ),
    (
        "TOLERATIONS",
        '[{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}]',
        ({"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30},),
    ),
    (
        "TOLERATIONS",
        '[{"key": "a", "operator": "Gt", "value": "5"}]',
        ({"key": "a", "operator": "Gt", "value": "5"},),
    ),
    ("KIP_IMAGE", "host:5000/kip:1", "host:5000/kip:1"),
    ("DEPLOYMENT_NAME", "keeper", "keeper"),
    ("CONFIGMAP_NAME", "k8s-image-puller", "k8s-image-puller"),
    ("IMAGE_PULL_POLICY", "ifnotpresent", PullPolicy.IF_NOT_PRESENT),
    ("INSECURE_REGISTRIES", "a:5000; B.example.com;", ("a:5000", "b.example.com")),
    ("INSECURE_REGISTRIES", "[fd00::1]:5000;a", ("[fd00::1]:5000", "a")),
    ("INSECURE_REGISTRIES", '["a:5000"]', ("a:5000",)),
    ("MAX_SURGE", "25%", "25%"),
    ("MAX_SURGE", "3", "3"),
    ("REFRESH", "Never", Refresh.NEVER),
    ("READY_WHEN", "Complete", ReadyWhen.COMPLETE),
    ("PLATFORM", "OpenShift", Platform.OPENSHIFT),
    ("CACHING_PRIORITY_CLASS", "low", "low"),
    ("PULL_JOB_NAMESPACES", "ci; shop", ("ci", "shop")),
    ("PULL_BUDGET", "0", 0),
    ("PULL_BUDGET", "200", 200),
    ("HTTP_ADDRESS", ":8080", ":8080"),
    ("HTTP_ADDRESS", "[::1]:80", "[::1]:80"),
    ("LOG_FORMAT", "json", LogFormat.JSON),
    ("LOG_LEVEL", "WARNING", LogLevel.WARNING),
]

ODD = [
    ("CACHING_INTERVAL_HOURS", "1h30m", timedelta(minutes=90), "CACHING_INTERVAL_HOURS", "1.5"),
    ("CACHING_MEMORY_LIMIT", "10Mi", "10Mi", "CACHING_MEMORY_LIMIT", "20Mi"),
    ("CACHING_MEMORY_LIMIT", "15M", "15M", "CACHING_MEMORY_LIMIT", "20Mi"),
    ("NODE_SELECTOR", r"{\"disk\":\"ssd\"}", {"disk": "ssd"}, "NODE_SELECTOR", '{"disk":"ssd"}'),
    (
        "TOLERATIONS",
        r"[{\"key\":\"a\",\"operator\":\"Exists\"}]",
        ({"key": "a", "operator": "Exists"},),
        "TOLERATIONS",
        '[{"key":"a","operator":"Exists"}]',
    ),
    ("AFFINITY", IN_ZONE_JSON.replace('"', r"\""), IN_ZONE, "AFFINITY", IN_ZONE_JSON),
    ("DAEMONSET_ANNOTATIONS", r"{\"a\":\"b\"}", {"a": "b"}, "DAEMONSET_ANNOTATIONS", '{"a":"b"}'),
    ("NODE_SELECTOR", '{"a": true}', {"a": "true"}, "NODE_SELECTOR.a", '"true"'),
    (
        "NODE_SELECTOR",
        '{"example.com/v": 1.10}',
        {"example.com/v": "1.10"},
        'NODE_SELECTOR["example.com/v"]',
        '"1.10"',
    ),
    ("NODE_SELECTOR", "a: no", {"a": "no"}, "NODE_SELECTOR.a", '"no"'),
    ("NODE_SELECTOR", '{"a": null}', {"a": ""}, "NODE_SELECTOR.a", '""'),
    ("DAEMONSET_ANNOTATIONS", '{"a": 1}', {"a": "1"}, "DAEMONSET_ANNOTATIONS.a", '"1"'),
    ("AFFINITY", '{"NodeAffinity": {}}', {"nodeAffinity": {}}, "AFFINITY.NodeAffinity", "nodeAffinity"),
    ("TOLERATIONS", '{"operator": "Exists"}', ({"operator": "Exists"},), "TOLERATIONS", "[ ]"),
    (
        "TOLERATIONS",
        '[{"key": "a", "value": true}]',
        ({"key": "a", "value": "true"},),
        "TOLERATIONS[1].value",
        '"true"',
    ),
    ("HTTP_ADDRESS", "8080", ":8080", "HTTP_ADDRESS", ":8080"),
]

BAD = [
    ("CACHING_INTERVAL_HOURS", "abc", "CACHING_INTERVAL_HOURS", "0.5"),
    ("CACHING_INTERVAL_HOURS", "0", "CACHING_INTERVAL_HOURS", "REFRESH=never"),
    ("CACHING_INTERVAL_HOURS", "-1", "CACHING_INTERVAL_HOURS", "REFRESH=never"),
    ("CACHING_INTERVAL_HOURS", "-30m", "CACHING_INTERVAL_HOURS", "REFRESH=never"),
    ("CACHING_INTERVAL_HOURS", "0.001", "CACHING_INTERVAL_HOURS", "at least 1m"),
    ("CACHING_INTERVAL_HOURS", "30s", "CACHING_INTERVAL_HOURS", "at least 1m"),
    ("CACHING_INTERVAL_HOURS", "nan", "CACHING_INTERVAL_HOURS", "0.5"),
    ("CACHING_INTERVAL_HOURS", "inf", "CACHING_INTERVAL_HOURS", "0.5"),
    ("CACHING_INTERVAL_HOURS", "9" * 30, "CACHING_INTERVAL_HOURS", "87600"),
    ("CACHING_INTERVAL_HOURS", "9" * 300, "CACHING_INTERVAL_HOURS", "0.5"),
    ("CACHING_INTERVAL_HOURS", "0,5", "CACHING_INTERVAL_HOURS", "Write 0.5."),
    ("CACHING_INTERVAL_HOURS", "2d", "CACHING_INTERVAL_HOURS", "48"),
    ("CACHING_INTERVAL_HOURS", "30 min", "CACHING_INTERVAL_HOURS", "30m"),
    ("CACHING_INTERVAL_HOURS", "٣", "CACHING_INTERVAL_HOURS", "0.5"),
    ("IMAGES", " ", "IMAGES", "Set IMAGES"),
    ("IMAGES", ";;", "IMAGES", "name=image"),
    ("IMAGES", "a=", "IMAGES[1]", "quay.io"),
    ("CACHING_MEMORY_REQUEST", "30Mi", "CACHING_MEMORY_REQUEST", "CACHING_MEMORY_LIMIT"),
    ("CACHING_MEMORY_LIMIT", "20 MB", "CACHING_MEMORY_LIMIT", "20Mi"),
    ("CACHING_CPU_REQUEST", "1", "CACHING_CPU_REQUEST", "CACHING_CPU_LIMIT"),
    ("CACHING_CPU_LIMIT", "-1", "CACHING_CPU_LIMIT", "0"),
    ("DAEMONSET_NAME", "My_Cache", "DAEMONSET_NAME", "my-cache"),
    ("DAEMONSET_NAME", "a" * 64, "DAEMONSET_NAME", "a" * 63),
    ("DAEMONSET_ANNOTATIONS", '{"a b": "c"}', 'DAEMONSET_ANNOTATIONS["a b"]', "Kubernetes"),
    ("DAEMONSET_ANNOTATIONS", '{"a": {"b": 1}}', "DAEMONSET_ANNOTATIONS.a", "quotes"),
    ("DAEMONSET_ANNOTATIONS", '{"a": "\\ud800"}', "DAEMONSET_ANNOTATIONS.a", "UTF-8"),
    ("DAEMONSET_ANNOTATIONS", "a=" + "x" * 300_000, "DAEMONSET_ANNOTATIONS", "less"),
    (
        "DAEMONSET_ANNOTATIONS",
        "kip.dev/written-by=me",
        'DAEMONSET_ANNOTATIONS["kip.dev/written-by"]',
        "prefix",
    ),
    (
        "DAEMONSET_ANNOTATIONS",
        "deprecated.daemonset.template.generation=1",
        'DAEMONSET_ANNOTATIONS["deprecated.daemonset.template.generation"]',
        "Remove",
    ),
    ("NAMESPACE", "a.b", "NAMESPACE", "a-b"),
    ("NODE_SELECTOR", '{"a": ["b"]}', "NODE_SELECTOR.a", "quotes"),
    ("NODE_SELECTOR", '{"a": "b c"}', "NODE_SELECTOR.a", "Kubernetes"),
    ("NODE_SELECTOR", '{"a": "b"', "NODE_SELECTOR", "brackets"),
    ("NODE_SELECTOR", '{"a": "b", "a": "c"}', "NODE_SELECTOR", "one of the two"),
    ("NODE_SELECTOR", "a=b,a=c", "NODE_SELECTOR.a", "one of the two"),
    ("NODE_SELECTOR", "ssd", "NODE_SELECTOR", "key=value"),
    ("NODE_SELECTOR", '["a"]', "NODE_SELECTOR", "key=value"),
    ("NODE_SELECTOR", "map[disk:ssd]", "NODE_SELECTOR", "toJson"),
    ("NODE_SELECTOR", "[map[disk:ssd]]", "NODE_SELECTOR", "toJson"),
    ("NODE_SELECTOR", "{a: &x [b], c: *x}", "NODE_SELECTOR", "Write the value out"),
    ("NODE_SELECTOR", "[" * 100_000, "NODE_SELECTOR", "levels"),
    ("IMAGE_PULL_SECRETS", "a; B_c", "IMAGE_PULL_SECRETS[2]", "b-c"),
    ("IMAGE_PULL_SECRETS", '["a"', "IMAGE_PULL_SECRETS", "brackets"),
    ("IMAGE_PULL_SECRETS", '{"name": "a"}', "IMAGE_PULL_SECRETS", "name;name"),
    ("IMAGE_PULL_SECRETS", '[["a"]]', "IMAGE_PULL_SECRETS[1]", "quotes"),
    ("AFFINITY", '{"nodeAffinty": {}}', "AFFINITY.nodeAffinty", "Did you mean nodeAffinity?"),
    (
        "AFFINITY",
        '{"nodeAffinity": {"requiredDuringScheduling": {}}}',
        "AFFINITY.nodeAffinity.requiredDuringScheduling",
        "requiredDuringSchedulingIgnoredDuringExecution",
    ),
    ("AFFINITY", IN_ZONE_JSON.replace('"In"', '"in"'), "", "Did you mean In?"),
    ("AFFINITY", '{"podAffinity": []}', "AFFINITY.podAffinity", "{...}"),
    ("AFFINITY", "[]", "AFFINITY", "nodeAffinity"),
    ("AFFINITY", "{", "AFFINITY", "brackets"),
    ("TOLERATIONS", '[{"this": 1}]', "TOLERATIONS[1].this", "operator"),
    ("TOLERATIONS", '[{"operator": "Exist", "key": "a"}]', "TOLERATIONS[1].operator", "Did you mean Exists?"),
    (
        "TOLERATIONS",
        '[{"key": "a", "effect": "noschedule"}]',
        "TOLERATIONS[1].effect",
        "Did you mean NoSchedule?",
    ),
    ("TOLERATIONS", '[{"value": "a"}]', "TOLERATIONS[1]", "Exists"),
    ("TOLERATIONS", '[{"operator": "Exists", "value": "a"}]', "TOLERATIONS[1].value", "Equal"),
    ("TOLERATIONS", '[{"key": "a", "tolerationSeconds": 1}]', "TOLERATIONS[1].tolerationSeconds", "effect"),
    ("TOLERATIONS", '[{"key": "a", "effect": "NoExecute", "tolerationSeconds": "x"}]', "", "digits"),
    ("TOLERATIONS", '["a"]', "TOLERATIONS[1]", "operator"),
    ("TOLERATIONS", "Exists", "TOLERATIONS", "[ ]"),
    ("KIP_IMAGE", "quay.io/KIP", "KIP_IMAGE", "quay.io/kip"),
    ("DEPLOYMENT_NAME", "My Keeper", "DEPLOYMENT_NAME", "my-keeper"),
    ("CONFIGMAP_NAME", "a/b", "CONFIGMAP_NAME", "a-b"),
    ("IMAGE_PULL_POLICY", "sometimes", "IMAGE_PULL_POLICY", "IfNotPresent"),
    ("INSECURE_REGISTRIES", "a:5000;b/c", "INSECURE_REGISTRIES[2]", "Write b."),
    ("INSECURE_REGISTRIES", "http://a:5000/", "INSECURE_REGISTRIES[1]", "Write a:5000."),
    ("INSECURE_REGISTRIES", "*.example.com", "INSECURE_REGISTRIES[1]", "host:port"),
    ("INSECURE_REGISTRIES", "a:65536", "INSECURE_REGISTRIES[1]", "host:port"),
    ("INSECURE_REGISTRIES", "a:" + "9" * 9999, "INSECURE_REGISTRIES[1]", "host:port"),
    ("INSECURE_REGISTRIES", '["a"', "INSECURE_REGISTRIES", "brackets"),
    ("MAX_SURGE", "0", "MAX_SURGE", "100%"),
    ("MAX_SURGE", "0%", "MAX_SURGE", "100%"),
    ("MAX_SURGE", "101%", "MAX_SURGE", "100%"),
    ("MAX_SURGE", "1.5", "MAX_SURGE", "100%"),
    ("REFRESH", "yes", "REFRESH", "always"),
    ("READY_WHEN", "cached", "READY_WHEN", "complete"),
    ("PLATFORM", "eks", "PLATFORM", "kubernetes"),
    ("CACHING_PRIORITY_CLASS", "-", "CACHING_PRIORITY_CLASS", "name"),
    ("PULL_JOB_NAMESPACES", "ci; -", "PULL_JOB_NAMESPACES[2]", "name"),
    ("PULL_BUDGET", "-1", "PULL_BUDGET", "whole number"),
    ("PULL_BUDGET", "50%", "PULL_BUDGET", "whole number"),
    ("HTTP_ADDRESS", "localhost", "HTTP_ADDRESS", ":8080"),
    ("HTTP_ADDRESS", ":65536", "HTTP_ADDRESS", ":8080"),
    ("LOG_FORMAT", "xml", "LOG_FORMAT", "console"),
    ("LOG_LEVEL", "loud", "LOG_LEVEL", "warning"),
]


def read(**values):
    return read_settings({**LEAST, "CACHING_MEMORY_REQUEST": "1Mi", **values})


def problems(values):
    with pytest.raises(SettingsError) as caught:
        read_settings(values)
    return caught.value.problems


@pytest.mark.parametrize(("key", "text", "expected"), GOOD)
def test_a_good_value_is_read_without_a_word(key, text, expected):
    reading = read(**{key: text})
    assert (getattr(reading.settings, FIELDS[key]), reading.notes) == (expected, ())


@pytest.mark.parametrize(("key", "text", "expected", "place", "remedy"), ODD)
def test_an_odd_value_is_read_with_a_note(key, text, expected, place, remedy):
    reading = read(**{key: text})
    [note] = reading.notes
    assert getattr(reading.settings, FIELDS[key]) == expected
    assert (note.key, note.refused) == (place, False)
    assert remedy in note.remedy


@pytest.mark.parametrize(("key", "text", "place", "remedy"), BAD, ids=lambda value: value[:40])
def test_a_bad_value_is_a_problem_with_its_place_and_remedy(key, text, place, remedy):
    found = problems({**LEAST, key: text})
    assert all(problem.key.startswith(key) for problem in found)
    assert place in [problem.key for problem in found] or not place
    assert any(remedy in problem.remedy for problem in found)


@pytest.mark.parametrize("table", [GOOD, BAD])
def test_every_key_has_good_and_bad_values_here(table):
    assert {key for key, *_ in table} == FIELDS.keys()


def test_all_problems_are_told_at_once():
    bad = {
        "LOG_LEVEL": "x",
        "CACHING_INTERVAL_HOURS": "0",
        "TOLERATIONS": '[{"a": 1}, {"b": 2}]',
        "CACHING_CPU_LIMIT": ".01",
    }
    assert [problem.key for problem in problems(bad)] == [
        "CACHING_INTERVAL_HOURS",
        "IMAGES",
        "TOLERATIONS[1].a",
        "TOLERATIONS[2].b",
        "LOG_LEVEL",
        "CACHING_CPU_REQUEST",
    ]


def test_an_empty_value_counts_as_unset():
    assert read_settings({**LEAST, **dict.fromkeys(FIELDS.keys() - {"IMAGES"}, " ")}) == read_settings(LEAST)


def test_the_defaults_are_those_of_upstreams_documentation():
    settings = read_settings(LEAST).settings
    assert settings.caching_interval == timedelta(hours=1)
    assert (settings.caching_memory_request, settings.caching_memory_limit) == ("10Mi", "20Mi")
    assert (settings.caching_cpu_request, settings.caching_cpu_limit) == (".05", ".2")
    assert (settings.daemonset_name, settings.namespace) == ("kubernetes-image-puller", "k8s-image-puller")
    assert settings.kip_image == "quay.io/eclipse/kubernetes-image-puller:next"


@pytest.mark.parametrize(
    ("given", "own", "expected"), [("", "own\n", "own"), ("set", "own", "set"), ("", "", "k8s-image-puller")]
)
def test_the_namespace_is_the_one_set_or_the_keepers_own(given, own, expected):
    assert read_settings({**LEAST, "NAMESPACE": given}, pod_namespace=own).settings.namespace == expected


def test_a_list_without_a_usable_image_tells_what_is_wrong_with_each_entry():
    assert [problem.key for problem in problems({"IMAGES": "a=;B=Q/b"})] == [
        "IMAGES",
        "IMAGES[1]",
        "IMAGES[2]",
    ]


def test_other_variables_are_ignored():
    assert read_settings({**LEAST, "PATH": "/bin"}) == read_settings(LEAST)


def test_a_message_names_key_value_and_remedy_and_shortens_long_values():
    [problem] = problems({**LEAST, "CACHING_CPU_LIMIT": "2 cores"})
    assert str(problem) == "CACHING_CPU_LIMIT='2 cores': is not a Kubernetes quantity. Write 2."
    [problem] = problems({**LEAST, "CACHING_CPU_LIMIT": "x" * 5000})
    assert len(str(problem)) < 300
