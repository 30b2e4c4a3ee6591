"""`kip status`."""

import json
from contextlib import nullcontext
from dataclasses import replace

import pytest
from page_scenes import make_matrix
from samples import manifest, stored

from kip.cli.status_table import picture
from kip.cli.tables import console
from kip.cluster.api import EVENTS, NODES, PODS, Listing
from kip.core.status.matrix import with_podless
from kip.errors import Forbidden

VALUES = {"NAMESPACE": "images"}


def cache(nodes: int, images: str = "tools=registry.example/tools:1.4.2") -> dict:
    status = {
        "observedGeneration": 1,
        "desiredNumberScheduled": nodes,
        "updatedNumberScheduled": nodes,
        "numberReady": nodes,
    }
    return stored(manifest(images)) | {"kind": "DaemonSet", "status": status}


def pod(found: dict, node: str, state: dict) -> dict:
    spec = found["spec"]["template"]["spec"]
    statuses = [{"name": item["name"], "state": state} for item in spec["containers"]]
    owner = {"kind": "DaemonSet", "uid": found["metadata"]["uid"]}
    return {
        "metadata": {"ownerReferences": [owner]},
        "spec": {**spec, "nodeName": node},
        "status": {"containerStatuses": statuses},
    }


@pytest.fixture
def shown(kip, cluster):
    """Show a cache whose nodes are in these states."""

    def show(*arguments: str, **states: dict) -> tuple[int, str, str]:
        found = cache(len(states))
        pods = tuple(pod(found, node, state) for node, state in states.items())
        there = {PODS: pods}
        cluster(found).list_all = lambda selection: Listing(there.get(selection.resource, ()), "1")
        return kip("status", *arguments, **VALUES)

    return show


RUNNING = {"running": {}}
PULLED = {
    "metadata": {"creationTimestamp": "2026-11-21T08:00:00Z"},
    "involvedObject": {"name": "kubernetes-image-puller-x7k2p", "fieldPath": "spec.containers{tools}"},
    "message": 'Successfully pulled image "tools" in 1.5s (2s including waiting). Image size: 1234 bytes.',
    "source": {"host": "node1"},
}
FAILING = {"waiting": {"reason": "ErrImagePull", "message": "[red]no[/] such [image]"}}


def test_every_node_has_a_column(shown):
    _, out, _ = shown(node1=RUNNING, node2=RUNNING)
    assert out.splitlines()[:2] == [
        "NAME   IMAGE                         node1   node2 ",
        "tools  registry.example/tools:1.4.2  cached  cached",
    ]


def test_a_complete_cache_is_exit_code_0(shown):
    code, out, _ = shown(node1=RUNNING)
    assert (code, out.splitlines()[-1]) == (
        0,
        "Complete: 1 images on 1 nodes (DaemonSet images/kubernetes-image-puller).",
    )


def test_an_incomplete_cache_is_exit_code_3(shown):
    code, out, _ = shown(node1=RUNNING, node2=FAILING)
    assert (code, "Not complete: 1 of 2 images" in out) == (3, True)


def test_a_fault_is_told_with_its_nodes_and_the_kubelets_words(shown):
    _, out, _ = shown(node1=FAILING, node2=FAILING)
    assert "tools on node1, node2: ErrImagePull: [red]no[/] such [image]" in out


def test_a_port_in_a_message_does_not_become_a_picture(shown):
    refused = {"waiting": {"reason": "ErrImagePull", "message": "dial tcp 10.0.0.1:1234: refused"}}
    _, out, _ = shown(node1=refused)
    assert "tools on node1: ErrImagePull: dial tcp 10.0.0.1:1234: refused" in out


def test_many_nodes_are_counted(shown):
    _, out, _ = shown(**{f"node{number}": RUNNING for number in range(20)})
    assert out.splitlines()[1].split()[-5:] == ["20", "0", "0", "0", "0"]


def test_of_many_failing_nodes_some_are_named(shown):
    _, out, _ = shown(**{f"node{number:02}": FAILING for number in range(20)})
    assert "tools on node00, node01, node02, node03, node04 and 15 more: ErrImagePull" in out


def test_json_has_every_cell(shown):
    _, out, _ = shown("-o", "json", node1=RUNNING, node2=FAILING)
    assert [cell["state"] for cell in json.loads(out)["cells"]] == ["cached", "failed"]


def test_no_such_cache_says_how_to_name_one(kip, cluster):
    cluster()
    code, _, err = kip("status", "-n", "images")
    assert (code, "--daemonset" in err) == (1, True)


def test_a_missing_right_is_exit_code_4(kip, cluster):
    cluster().failures["get daemonsets"] = [Forbidden("no")]
    assert kip("status", **VALUES)[0] == 4


def cells_of(out: str, row: str) -> list[str]:
    return next(line.split() for line in out.splitlines() if line.startswith(row))


def test_nodes_can_be_the_rows(shown):
    code, out, _ = shown("--nodes", node1=RUNNING, node2=FAILING)
    assert (code, out.splitlines()[0].split()) == (
        3,
        ["NODE", "CACHED", "PULLING", "WAITING", "FAILED", "ABSENT"],
    )
    assert cells_of(out, "node2") == ["node2", "0", "0", "0", "1", "0"]


def test_a_node_without_a_pod_is_a_row_too(capsys):
    matrix = with_podless(make_matrix(1, 2), ["node0000", "other"], "exceeded quota")
    console().print(picture(matrix, by_node=True, wide=False))
    assert cells_of(capsys.readouterr().out, "other") == ["other", "0", "0", "0", "0", "2"]


def test_the_wide_form_names_what_a_node_lacks(shown):
    _, out, _ = shown("--nodes", "-o", "wide", node1=RUNNING, node2=FAILING)
    assert cells_of(out, "node2")[-2:] == ["tools", "failed"]


def test_the_wide_form_tells_that_nodes_have_different_digests(kip, cluster):
    found = cache(3)
    pods = [pod(found, f"node{number}", RUNNING) for number in range(3)]
    for item, digest in zip(pods, ("ab", "ab", "cd"), strict=True):
        item["status"]["containerStatuses"][0]["imageID"] = "registry.example/tools@sha256:" + digest * 32
    there = {PODS: tuple(pods)}
    cluster(found).list_all = lambda selection: Listing(there.get(selection.resource, ()), "1")
    _, out, _ = kip("status", "-o", "wide", **VALUES)
    assert cells_of(out, "tools")[2:] == [*"30000", "abababababab", "(2),", "cdcdcdcdcdcd", "(1)"]


def test_the_wide_form_tells_size_and_slowest_pull_as_far_as_they_are_known(capsys):
    matrix = make_matrix(2, 1)
    told = [replace(matrix.cells[0], size=2_500_000, pull_seconds=3.21), matrix.cells[1]]
    console().print(picture(replace(matrix, cells=tuple(told)), by_node=False, wide=True))
    assert "2.5 MB  3.2 s" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["json", "table"])
def test_watching_needs_a_terminal(shown, form):
    code, _, err = shown("--watch", "-o", form, node1=RUNNING)
    assert (code, "kip wait" in err) == (2, True)


def test_watching_shows_the_table_until_it_is_interrupted(kip, cluster, monkeypatch):
    found = cache(1)
    looks = []

    def pause(_least: float, _most: float) -> None:
        looks.append("look")
        if len(looks) == 3:
            raise KeyboardInterrupt

    pods = Listing((pod(found, "node1", RUNNING),), "1")
    cluster(found).list_all = lambda _selection: pods
    monkeypatch.setattr("kip.cli.status.pauses", lambda *_: nullcontext(pause))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    code, out, _ = kip("status", "--watch", TERM="dumb", **VALUES)
    assert (code, len(looks), "Complete: 1 images on 1 nodes" in out) == (0, 3, True)


def test_programs_are_told_of_pulls(kip, cluster):
    found = cache(1)
    there = {PODS: (pod(found, "node1", RUNNING),), EVENTS: (PULLED,)}
    cluster(found).list_all = lambda selection: Listing(there.get(selection.resource, ()), "1")
    _, out, _ = kip("status", "-o", "json", **VALUES)
    (cell,) = json.loads(out)["cells"]
    assert (cell["pull_seconds"], cell["size"]) == (1.5, 1234)


def test_where_events_may_not_be_read_there_are_none(kip, cluster):
    found = cache(1)
    fake = cluster(found)

    def read(selection):
        if selection.resource is EVENTS:
            raise Forbidden("no")
        return Listing((pod(found, "node1", RUNNING),) if selection.resource is PODS else (), "1")

    fake.list_all = read
    code, out, _ = kip("status", "-o", "json", **VALUES)
    (cell,) = json.loads(out)["cells"]
    assert (code, cell["pull_seconds"]) == (0, None)


def test_why_nodes_have_no_pod_is_told_with_a_remedy(kip, cluster):
    found = cache(3)
    refused = {
        "metadata": {"creationTimestamp": "2026-11-21T08:00:00Z"},
        "involvedObject": {"uid": found["metadata"]["uid"]},
        "message": "Error creating: pods is forbidden: exceeded quota: few",
    }
    there = {PODS: (pod(found, "node1", RUNNING),), EVENTS: (refused,)}
    cluster(found).list_all = lambda selection: Listing(there.get(selection.resource, ()), "1")
    code, out, _ = kip("status", **VALUES)
    assert (code, [line.rstrip() for line in out.splitlines()[2:4]]) == (
        3,
        [
            "tools on 2 nodes: FailedCreate: pods is forbidden: exceeded quota: few",
            "  Raise the quota; `kip check` says by how much.",
        ],
    )


TAINTED = {
    "metadata": {"name": "gpu1", "labels": {"kubernetes.io/os": "linux"}},
    "spec": {"taints": [{"key": "pool", "value": "gpu", "effect": "NoSchedule"}]},
}
LACKING = {"key": "pool", "operator": "Exists", "effect": "NoSchedule"}


@pytest.fixture
def beside_a_tainted_node(kip, cluster):
    """Show a complete cache beside a node that a taint leaves out; give what was asked for, too."""

    def show(*arguments: str) -> tuple[int, str, list]:
        found, asked = cache(1), []
        there = {PODS: (pod(found, "node1", RUNNING),), NODES: (TAINTED,)}

        def read(selection):
            asked.append(selection.resource)
            return Listing(there.get(selection.resource, ()), "1")

        cluster(found).list_all = read
        return *kip("status", *arguments, **VALUES)[:2], asked

    return show


def test_a_node_that_a_taint_leaves_out_is_a_remark_beside_a_complete_cache(beside_a_tainted_node):
    code, out, asked = beside_a_tainted_node()
    assert (code, asked.count(NODES), out.splitlines()[2:]) == (
        0,
        1,
        [
            "1 selected node is left out by taints: gpu1 (pool=gpu:NoSchedule)",
            f"  Add {json.dumps(LACKING)} to TOLERATIONS, or exclude them by NODE_SELECTOR or AFFINITY.",
            "Complete: 1 images on 1 nodes (DaemonSet images/kubernetes-image-puller).",
        ],
    )


def test_programs_are_told_of_nodes_that_taints_leave_out(beside_a_tainted_node):
    code, out, _ = beside_a_tainted_node("-o", "json")
    document = json.loads(out)
    assert (code, document["complete"], document["nodes"]["left_out"]) == (
        0,
        True,
        [{"node": "gpu1", "taints": ["pool=gpu:NoSchedule"], "tolerations": [LACKING]}],
    )


def test_where_nodes_may_not_be_listed_nothing_is_said_of_taints(kip, cluster):
    found = cache(1)
    items = {**pod(found, "node1", RUNNING), "kind": "Pod"}
    items["metadata"] |= {"name": "cache-node1", "namespace": "images"}
    cluster(found, items).failures["list nodes"] = [Forbidden("no")]
    code, out, _ = kip("status", "-o", "json", **VALUES)
    assert (code, json.loads(out)["nodes"]["left_out"]) == (0, None)
