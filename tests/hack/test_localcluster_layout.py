"""hack/cluster: what is derived from a checkout's path, and what is recorded."""

import json
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from localcluster.layout import SECOND_OCTETS, Addresses, ClusterError, Layout, Node, State, choose_octet

LONGEST_DEVICE_NAME = 15
LONGEST_SOCKET_PATH = 107


def test_network_is_the_same_each_time():
    assert choose_octet(0xEBBA27, []) == choose_octet(0xEBBA27, [])
    assert choose_octet(0xEBBA27, []) in SECOND_OCTETS


def test_network_avoids_what_the_machine_uses():
    first = choose_octet(7, [])
    second = choose_octet(7, [IPv4Network(f"10.{first}.1.0/24")])
    assert second != first
    assert choose_octet(7, [IPv4Network(f"10.{first}.0.0/16"), IPv4Network(f"10.{second}.0.1/32")]) not in {
        first,
        second,
    }


def test_networks_go_round_at_the_end():
    last = len(SECOND_OCTETS) - 1
    taken = [IPv4Network(f"10.{SECOND_OCTETS[last]}.0.0/16")]
    assert choose_octet(last, taken) == SECOND_OCTETS[0]


def test_machine_without_a_free_network_is_told():
    with pytest.raises(ClusterError, match="no free network"):
        choose_octet(1, [IPv4Network("10.0.0.0/8")])


def test_two_checkouts_share_nothing():
    one, other = Layout(Path("/home/me/kip")), Layout(Path("/home/me/kip-review"))
    assert one.id != other.id
    assert one.run_folder != other.run_folder
    assert one.bridge(1) != other.bridge(1)
    assert not set(one.cgroups) & set(other.cgroups)


def test_deep_checkout_has_short_sockets_and_devices():
    layout = Layout(Path("/" + "deep/" * 60))
    assert len(layout.bridge(199)) <= LONGEST_DEVICE_NAME
    # The longest socket of all: the kubelet's, while it makes it under another name first.
    socket = layout.run_folder / ("n" * 32) / "kubelet/pod-resources/1234567890"
    assert len(str(socket)) <= LONGEST_SOCKET_PATH


def test_addresses_stay_in_the_cluster_s_own_network():
    addresses = Addresses(103)
    network = IPv4Network("10.103.0.0/16")
    for part in (addresses.service_network, addresses.pods(1), addresses.pods(199)):
        assert IPv4Network(part).subnet_of(network)
    assert addresses.api_service == "10.103.255.1"
    assert addresses.registry == "10.103.0.1:5000"
    assert addresses.loopback.startswith("127.")


def test_state_comes_back_as_it_was_recorded(tmp_path):
    layout = Layout(tmp_path)
    assert layout.load() is None
    state = State(103, [Node("node1", 1), Node("small", 2, disk_mib=200, stopped=True)], 50, True, ["old"])
    layout.save(state)
    assert layout.load() == state


def test_state_of_an_earlier_version_is_read(tmp_path):
    layout = Layout(tmp_path)
    layout.save(State(103))
    recorded = json.loads(layout.state_file.read_text("utf-8"))
    del recorded["removed"]
    layout.state_file.write_text(json.dumps(recorded), "utf-8")
    assert layout.load() == State(103)


def test_state_that_cannot_be_written_leaves_the_old_one(tmp_path):
    layout = Layout(tmp_path)
    layout.save(State(103))
    with pytest.raises(TypeError):
        layout.save(State(object()))
    assert layout.load() == State(103)
