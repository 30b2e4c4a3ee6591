"""hack/cluster: facts of its parts that other tests and the docs rely on."""

import signal
import socket
from pathlib import Path

import pytest
from localcluster import fake_nodes, leftovers, mounts
from localcluster.cluster import Cluster
from localcluster.control_plane import AUDIT_POLICY, NODE_GRACE_SECONDS, ControlPlane, is_ready
from localcluster.layout import Addresses, Layout, Node, State
from localcluster.node import RealNode
from localcluster.pki import Pki


class AnyPrograms:
    """Stands for the programs, which need not be built."""

    folders = ("/programs",)

    def __getitem__(self, name: str) -> str:
        return f"/programs/{name}"


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


@pytest.fixture
def node(layout):
    """Make a node: `node(disk_mib=200)`."""
    addresses = Addresses(103)

    def make(**values) -> RealNode:
        return RealNode(Node("node3", 3, **values), layout, addresses, AnyPrograms(), None)

    make.pki = Pki(layout, addresses)
    return make


@pytest.fixture
def commands(layout, mocker):
    """The commands of the control plane, by name, that would be started."""
    processes = mocker.Mock()
    layout.logs.mkdir(parents=True)
    plane = ControlPlane(layout, Addresses(103), AnyPrograms(), processes)
    for start in (plane._etcd, plane._api_server, plane._controllers, plane._scheduler):
        start()
    return {call.args[0]: call.args[1] for call in processes.ensure.call_args_list}


@pytest.mark.parametrize(("part", "program"), [("api", "kube-apiserver"), ("etcd", "etcd")])
def test_only_the_named_part_of_the_control_plane_is_stopped(layout, mocker, part, program):
    processes = mocker.Mock()
    ControlPlane(layout, Addresses(103), AnyPrograms(), processes).stop(part)
    processes.stop.assert_called_once_with(program, number=signal.SIGKILL)


def test_audit_log_has_every_request_once_without_bodies():
    assert AUDIT_POLICY["rules"] == [{"level": "Metadata"}]
    assert AUDIT_POLICY["omitStages"] == ["RequestReceived"]


def test_audit_log_is_where_the_benchmarks_look(commands, layout):
    assert f"--audit-log-path={layout.audit_log}" in commands["kube-apiserver"]
    assert layout.audit_log.name == "audit.jsonl"


def test_pod_security_and_node_restriction_are_enforced(commands):
    assert "--enable-admission-plugins=NodeRestriction,PodSecurity" in commands["kube-apiserver"]
    assert "--authorization-mode=Node,RBAC" in commands["kube-apiserver"]


def test_everything_listens_on_the_cluster_s_own_addresses(commands):
    assert "--bind-address=10.103.0.1" in commands["kube-apiserver"]
    for name in ("kube-controller-manager", "kube-scheduler"):
        assert "--bind-address=127.103.0.1" in commands[name]
    listening = [word for word in commands["etcd"] if word.startswith("--listen-")]
    assert len(listening) == 2
    assert all("//127.103.0.1:" in word for word in listening)


def test_dead_node_is_noticed_well_within_half_a_minute(commands):
    assert NODE_GRACE_SECONDS <= 20
    assert "--node-monitor-grace-period=20s" in commands["kube-controller-manager"]


def test_kubelet_listens_on_its_bridge_and_asks_for_credentials(node):
    config = node()._kubelet_config(node.pki)
    assert config["address"] == "10.103.3.1"
    assert config["healthzPort"] == config["readOnlyPort"] == 0
    assert not config["authentication"]["anonymous"]["enabled"]
    assert config["authorization"]["mode"] == "Webhook"


def test_kubelet_tells_often_enough_to_stay_ready(node):
    config = node()._kubelet_config(node.pki)
    assert config["nodeLeaseDurationSeconds"] < NODE_GRACE_SECONDS


def test_only_a_node_with_a_disk_of_its_own_collects_images(node):
    assert node()._kubelet_config(node.pki)["imageGCHighThresholdPercent"] == 100
    small = node(disk_mib=200)._kubelet_config(node.pki)
    assert small["imageGCLowThresholdPercent"] < small["imageGCHighThresholdPercent"] <= 20
    assert "imagefs.available" in small["evictionHard"]


def test_reserved_node_keeps_others_off_from_the_first_moment(node):
    assert node(reserved="gc")._kubelet_config(node.pki)["registerWithTaints"] == [
        {"key": "kip.dev/test", "value": "gc", "effect": "NoSchedule"}
    ]
    assert "registerWithTaints" not in node()._kubelet_config(node.pki)


def test_node_has_room_for_as_many_pods_as_asked_for(node):
    assert node(max_pods=3)._kubelet_config(node.pki)["maxPods"] == 3
    assert "maxPods" not in node()._kubelet_config(node.pki)


def test_a_number_of_nodes_leaves_reserved_ones_as_they_are(layout, mocker):
    cluster = Cluster(layout)
    remove = mocker.patch.object(cluster, "_remove")
    dead = Node("gc", 3, stopped=True, reserved="gc")
    extra = Node("extra", 4)
    state = State(103, [Node("node1", 1, stopped=True), dead, extra])
    cluster._resize(state, 1)
    remove.assert_called_once_with(state, extra)
    assert [node.stopped for node in state.nodes] == [False, True, False]


def test_runtime_keeps_its_things_where_they_can_be_cleaned_up(node, layout):
    config = node()._containerd_config()
    paths = [line.split('"')[1] for line in config.splitlines() if '"/' in line]
    foreign = [path for path in paths if not path.startswith((str(layout.run_folder), str(layout.top)))]
    assert foreign == ["/usr/lib/cni"]
    assert "[plugins.'io.containerd.nri.v1.nri']\ndisable = true" in config


def test_disk_holds_images_and_pods(node, layout):
    disk = layout.state_folder / "nodes/node3/disk"
    assert f'root = "{disk}/containerd"' in node(disk_mib=200)._containerd_config()
    assert node(disk_mib=200)._kubelet_config(node.pki)["podLogsDir"].startswith(f"{disk}/")


@pytest.mark.parametrize(
    ("conditions", "ready"),
    [
        ([], False),
        ([{"type": "Ready", "status": "True"}], True),
        ([{"type": "Ready", "status": "Unknown"}], False),
        ([{"type": "DiskPressure", "status": "True"}], False),
    ],
)
def test_readiness_of_a_node(conditions, ready):
    assert is_ready({"status": {"conditions": conditions}}) is ready


def test_fake_nodes_are_created_and_deleted_by_the_hundred(layout, mocker):
    plane, processes = mocker.Mock(), mocker.Mock()
    nodes = fake_nodes.FakeNodes(layout, Addresses(103), AnyPrograms(), processes, plane)
    assert nodes.ensure(250, 0)
    assert [call.args[:2] for call in plane.kubectl.call_args_list] == [("apply", "--server-side")] * 3
    plane.kubectl.reset_mock()
    assert nodes.ensure(0, 250)
    assert [call.args[:2] for call in plane.kubectl.call_args_list] == [("delete", "--raw")] * 3
    assert "fake-250" in plane.kubectl.call_args_list[-1].args[2]
    processes.stop.assert_called_once_with("kwok")


def test_links_to_logs_of_others_stay(tmp_path, mocker):
    links = tmp_path / "links"
    links.mkdir()
    mocker.patch.object(leftovers, "LOG_LINKS", links)
    (links / "ours.log").symlink_to("/a/.cluster/nodes/node1/pod-logs/x/0.log")
    (links / "others.log").symlink_to("/a/.cluster-of-b/nodes/node1/pod-logs/x/0.log")
    (links / "file.log").write_text("", "utf-8")
    leftovers.remove_log_links(tmp_path / "none")
    assert len(list(links.iterdir())) == 3
    leftovers.remove_log_links(Path("/a/.cluster"))
    assert sorted(path.name for path in links.iterdir()) == ["file.log", "others.log"]


def test_network_results_of_others_stay(tmp_path, mocker, layout):
    results = tmp_path / "results"
    results.mkdir()
    mocker.patch.object(leftovers, "NETWORK_RESULTS", results)
    (results / "node1-1-eth0").write_text(f'{{"netns":"{layout.run_folder}/node1/netns/x"}}', "utf-8")
    (results / "node1-2-eth0").write_text('{"netns":"/run/kip-000000/node1/netns/x"}', "utf-8")
    leftovers.remove_network_results(layout.run_folder)
    assert [path.name for path in results.iterdir()] == ["node1-2-eth0"]


def test_shims_sockets_are_found_by_their_bundles(tmp_path):
    bundles = tmp_path / "node1/containerd/io.containerd.runtime.v2.task/k8s.io"
    for name, file, text in (
        ("1", "bootstrap.json", '{"version": 3, "address": "unix:///run/containerd/s/1"}'),
        ("2", "address", "unix:///run/containerd/s/2"),
        ("3", "bootstrap.json", "not written whole"),
        ("4", "address", ""),
    ):
        (bundles / name).mkdir(parents=True)
        (bundles / name / file).write_text(text, "utf-8")
    found = sorted(str(path) for path in leftovers.shim_sockets(tmp_path))
    assert found == ["/run/containerd/s/1", "/run/containerd/s/2"]


def test_socket_at_which_somebody_listens_stays(tmp_path):
    dead, alive = tmp_path / "dead", tmp_path / "alive"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(dead))
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(alive))
        other.listen()
        leftovers.remove_dead_sockets([dead, alive, tmp_path / "none"])
        assert [path.name for path in tmp_path.iterdir()] == ["alive"]


def test_mount_points_are_read_as_they_are():
    assert mounts._unescaped(r"/home/Jörg/my\040kip\134x") == "/home/Jörg/my kip\\x"
