"""hack/cluster's command line: what is understood, what is refused, and the exit codes."""

import subprocess
from types import SimpleNamespace

import pytest
from localcluster import cli
from localcluster.layout import ClusterError


@pytest.fixture
def cluster(mocker):
    mocker.patch("os.geteuid", return_value=0)
    return mocker.patch.object(cli, "Cluster").return_value


@pytest.mark.parametrize(
    ("text", "mebibytes"), [("200M", 200), ("200Mi", 200), ("200MiB", 200), ("1G", 1024), ("2 GiB", 2048)]
)
def test_size_of_a_disk(cluster, text, mebibytes):
    assert cli.main(["node", "add", "--disk", text, "small"]) == 0
    cluster.add_node.assert_called_once_with("small", mebibytes, max_pods=0, reserved="")


def test_a_node_may_be_reserved_and_have_little_room(cluster):
    assert cli.main(["node", "add", "--max-pods", "3", "--reserve", "gc", "small"]) == 0
    cluster.add_node.assert_called_once_with("small", 0, max_pods=3, reserved="gc")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["bogus"],
        ["node"],
        ["node", "add"],
        ["node", "add", "--disk", "200", "small"],
        ["node", "add", "--disk", "1M", "small"],
        ["node", "add", "--disk", "-200M", "small"],
        ["node", "add", "--max-pods", "0", "small"],
        ["node", "add", "--reserve", "a=b", "small"],
        ["node", "add", "Big"],
        ["node", "add", "under_score"],
        ["node", "add", "n" * 33],
        ["node", "add", "-x"],
        ["node", "add", "fake-1"],
        ["node", "add", "../up"],
        ["up", "--nodes", "-1"],
        ["up", "--nodes", "200"],
        ["up", "--nodes", "two"],
        ["up", "--fake-nodes", "1.5"],
        ["api"],
        ["etcd", "restart"],
        ["status", "-o", "yaml"],
    ],
)
def test_wrong_use_is_exit_code_2(cluster, arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: hack/cluster" in capsys.readouterr().err
    assert not cluster.method_calls


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["up", "--help"],
        ["down", "--help"],
        ["status", "--help"],
        ["env", "--help"],
        ["image", "push", "--help"],
        ["image", "ls", "--help"],
        ["node", "--help"],
        ["node", "add", "--help"],
        ["node", "containers", "--help"],
        ["api", "--help"],
        ["etcd", "stop", "--help"],
        ["registry", "log", "--help"],
    ],
)
def test_help_at_every_level(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
    assert "usage: hack/cluster" in capsys.readouterr().out


def test_numbers_not_given_keep_what_there_is(cluster):
    assert cli.main(["up"]) == 0
    cluster.up.assert_called_once_with(None, None)
    cluster.up.reset_mock()
    assert cli.main(["up", "--nodes", "3", "--fake-nodes", "0"]) == 0
    cluster.up.assert_called_once_with(3, 0)


@pytest.mark.parametrize("part", ["api", "etcd"])
def test_api_server_and_etcd_can_be_away_for_a_while(cluster, part):
    assert cli.main([part, "stop"]) == 0
    cluster.stop_part.assert_called_once_with(part)
    assert cli.main([part, "start"]) == 0
    cluster.start_part.assert_called_once_with(part)


@pytest.mark.parametrize(
    "error",
    [
        ClusterError("etcd ended; read etcd.log"),
        OSError("etcd ended; read etcd.log"),
        subprocess.CalledProcessError(1, ["mount", "x"], stderr=b"etcd ended; read etcd.log\n"),
        subprocess.CalledProcessError(1, ["mount", "x"], stderr="etcd ended; read etcd.log\n"),
    ],
)
def test_failure_is_a_sentence_and_exit_code_1(cluster, error, capsys):
    cluster.down.side_effect = error
    assert cli.main(["down"]) == 1
    assert "etcd ended; read etcd.log" in capsys.readouterr().err


def test_failed_program_that_said_nothing(cluster, capsys):
    cluster.down.side_effect = subprocess.CalledProcessError(32, ["umount", "/a b"])
    assert cli.main(["down"]) == 1
    assert "umount '/a b'" in capsys.readouterr().err


def test_changes_need_root_and_looking_does_not(cluster, mocker, capsys):
    mocker.patch("os.geteuid", return_value=1000)
    cluster.status.return_value = {"up": False}
    assert cli.main(["up"]) == 1
    assert "root" in capsys.readouterr().err
    assert cli.main(["status"]) == 0
    assert not cluster.up.called


def test_second_change_waits_for_the_first(mocker, capsys):
    mocker.patch("os.geteuid", return_value=0)
    calls = mocker.patch.object(cli.fcntl, "flock", side_effect=[BlockingIOError, None])
    with cli._alone():
        assert calls.call_count == 2
    assert "waiting for another hack/cluster command" in capsys.readouterr().err


def test_table_is_aligned_and_json_is_whole(cluster, capsys):
    cluster.runtime.return_value.containers.return_value = [
        {"pod": "a", "image": "x:1"},
        {"pod": "long-name", "image": "y"},
    ]
    assert cli.main(["node", "containers", "node1"]) == 0
    assert capsys.readouterr().out == "POD        IMAGE\na          x:1\nlong-name  y\n"
    assert cli.main(["node", "containers", "node1", "-o", "json"]) == 0
    assert '"pod": "long-name"' in capsys.readouterr().out


def test_environment_is_quoted_for_a_shell(cluster, capsys):
    cluster.environment.return_value = {"KUBECONFIG": "/home/me/my kip/admin"}
    assert cli.main(["env"]) == 0
    assert capsys.readouterr().out == "export KUBECONFIG='/home/me/my kip/admin'\n"


def test_status_of_nothing_says_how_to_begin(cluster, capsys):
    cluster.status.return_value = {"up": False}
    cli._status(cluster, SimpleNamespace(output="text"))
    assert "hack/cluster up" in capsys.readouterr().out
