"""The command line of hack/cluster."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

from localcluster.cluster import Cluster
from localcluster.layout import MOST_NODES, RESERVED, ClusterError
from localcluster.report import say

DESCRIPTION = """A real Kubernetes on this machine, without Docker: API server, controllers, scheduler,
registry, and nodes with containerd and kubelet each. State is under .cluster/; nothing outside the machine is
touched.

  hack/cluster up                      two nodes; about 15 s, the first time on a machine 8 minutes more
  eval "$(hack/cluster env)"           KUBECONFIG, REGISTRY and the programs for this shell; also
                                       PRIVATE_REGISTRY, the same images with a password: reader, open-sesame
  hack/cluster image push demo/a:1 DIR then use the image as $REGISTRY/demo/a:1
  hack/cluster down                    leaves nothing behind

Exit codes: 0 done, 1 failed (the message names the log to read), 2 wrong use."""
SMALLEST_DISK_MIB = 100
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        with _alone() if parsed.changes else nullcontext():
            parsed.run(Cluster(), parsed)
    except ClusterError as error:
        print(f"hack/cluster: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        said = (error.stderr or b"").decode() if isinstance(error.stderr, bytes | None) else error.stderr
        print(f"hack/cluster: `{shlex.join(map(str, error.cmd))}` failed: {said.strip()}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head` has seen enough
        sys.stdout = None
        return 1
    except OSError as error:
        print(f"hack/cluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


@contextmanager
def _alone() -> Iterator[None]:
    """Let only one command at a time change the cluster of this checkout."""
    if os.geteuid():
        raise ClusterError("this needs root: the cluster is made of mounts, bridges and control groups")
    # A lock on a folder of the checkout leaves no file behind, and ends with this process.
    folder = os.open(Path(__file__).parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another hack/cluster command of this checkout")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hack/cluster", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    up = _change(
        commands, "up", "bring the cluster up, or change what differs; at once when nothing does", _up
    )
    up.add_argument(
        "--nodes", type=_real_count, metavar="N",
        help="have exactly the nodes node1 to nodeN, and those that are reserved "
        "(default: keep what there is, at first 2)",
    )  # fmt: skip
    up.add_argument(
        "--fake-nodes", type=_count, metavar="N",
        help="have N fake nodes by kwok, fake-1 to fake-N, whose pods run at once and pull nothing "
        "(default: keep what there is, at first none)",
    )  # fmt: skip
    _change(
        commands,
        "down",
        "remove the cluster and all that it left on the machine, also when it was killed",
        lambda cluster, _: cluster.down(),
    )
    _output(_command(commands, "status", "show what runs", _status))
    _command(commands, "env", "print `export` lines for a shell", _env)
    _image_commands(commands)
    _node_commands(commands)
    _outage_commands(commands)
    registry = _group(commands, "registry", "the registry: its outages, and what was asked of it")
    _change(
        registry,
        "stop",
        "let it be away: connections are refused",
        lambda cluster, _: cluster.stop_registry(),
    )
    _change(
        registry, "start", "start it again, with all that it had", lambda cluster, _: cluster.start_registry()
    )
    _output(_command(registry, "log", "show which manifests and blobs were asked for", _registry_log))
    return parser


def _image_commands(commands: Any) -> None:
    image = _group(commands, "image", "images in the registry and on the nodes")
    push = _command(image, "push", "push an OCI layout folder or an archive as $REGISTRY/NAME", _push)
    push.add_argument("name", help="repository and tag: demo/app:1")
    push.add_argument("source", type=Path, help="an OCI layout folder, or an OCI or Docker archive")
    listing = _output(_command(image, "ls", "list the images that a node's runtime has", _images))
    listing.add_argument("node", help="the node's name: node1")


def _node_commands(commands: Any) -> None:
    node = _group(commands, "node", "nodes that come, go and die")
    add = _change(node, "add", "add a node and wait until it is Ready", _add_node)
    add.add_argument("name", type=_node_name, help="a short name of lower case letters, digits and dashes")
    add.add_argument(
        "--disk", type=_mebibytes, default=0, metavar="SIZE",
        help="a small disk of its own (200M), with low thresholds for the image garbage collection",
    )  # fmt: skip
    add.add_argument(
        "--max-pods", type=_pods, default=0, metavar="N", help="room for N pods and no more",
    )  # fmt: skip
    add.add_argument(
        "--reserve", type=_label, metavar="NAME",
        help=f"label and taint the node {RESERVED}=NAME (NoSchedule), so that only what tolerates it runs "
        "there, and let `up --nodes` leave it alone",
    )  # fmt: skip
    for verb, text, run in (
        ("remove", "remove a node from the cluster and the machine", Cluster.remove_node),
        ("stop", "let a node die: kubelet, runtime and containers end at once", Cluster.stop_node),
        ("start", "start a dead node again and wait until it is Ready", Cluster.start_node),
    ):
        _change(node, verb, text, _on_node(run)).add_argument("name", help="the node's name: node1")
    containers = _output(
        _command(node, "containers", "list the containers that a node's runtime runs", _containers)
    )
    containers.add_argument("node", help="the node's name: node1")


def _outage_commands(commands: Any) -> None:
    for part, name, shown in (
        ("api", "the API server", "connections are refused"),
        ("etcd", "etcd", "the API server answers with errors, or late"),
        ("controllers", "the controller manager", "no DaemonSet gets or loses a pod"),
    ):
        group = _group(commands, part, f"{name}: its outages")
        stop = _change(
            group, "stop", f"let it be away: {shown}", lambda cluster, parsed: cluster.stop_part(parsed.part)
        )
        start = _change(
            group,
            "start",
            "start it again, and wait until the API server is ready; `up` does so too",
            lambda cluster, parsed: cluster.start_part(parsed.part),
        )
        for command in (stop, start):
            command.set_defaults(part=part)


def _on_node(run: Callable[[Cluster, str], None]) -> Callable[[Cluster, argparse.Namespace], None]:
    return lambda cluster, arguments: run(cluster, arguments.name)


def _command(commands: Any, name: str, text: str, run: Callable[[Cluster, argparse.Namespace], None]) -> Any:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(run=run, changes=False)
    return parser


def _change(commands: Any, name: str, text: str, run: Callable[[Cluster, argparse.Namespace], None]) -> Any:
    """Add a command that changes the cluster; only one such runs at a time."""
    parser = _command(commands, name, text, run)
    parser.set_defaults(changes=True)
    return parser


def _group(commands: Any, name: str, text: str) -> Any:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    return parser.add_subparsers(metavar="COMMAND", required=True)


def _output(parser: Any) -> Any:
    parser.add_argument(
        "-o", "--output", choices=["text", "json"], default="text", help="the form (default: text)"
    )
    return parser


def _up(cluster: Cluster, arguments: argparse.Namespace) -> None:
    cluster.up(arguments.nodes, arguments.fake_nodes)
    print('next: eval "$(hack/cluster env)"; kubectl get nodes', file=sys.stderr)


def _status(cluster: Cluster, arguments: argparse.Namespace) -> None:
    found = cluster.status()
    if arguments.output == "json":
        print(json.dumps(found, indent=2))
    elif not found["up"]:
        print("there is no cluster here; `hack/cluster up` makes one")
    else:
        print(f"API server  {found['api']}\nregistry    {found['registry']}\nlogs        {found['logs']}")
        for name, pid in found["processes"].items():
            print(f"{name:24} {f'process {pid}' if pid else 'does not run'}")
        for node in found["nodes"]:
            disk = f", disk {node['disk_mib']} MiB" if node["disk_mib"] else ""
            reserved = f", reserved for {node['reserved']}" if node["reserved"] else ""
            print(f"{node['name']:24} {'alive' if node['alive'] else 'dead'}{disk}{reserved}")
        print(f"{'fake nodes':24} {found['fake_nodes']}")


def _env(cluster: Cluster, _: argparse.Namespace) -> None:
    for key, value in cluster.environment().items():
        print(f"export {key}={shlex.quote(value)}")


def _push(cluster: Cluster, arguments: argparse.Namespace) -> None:
    print(cluster.registry(cluster.state()).push(arguments.name, arguments.source))


def _images(cluster: Cluster, arguments: argparse.Namespace) -> None:
    _table(cluster.runtime(arguments.node).images(), arguments.output)


def _containers(cluster: Cluster, arguments: argparse.Namespace) -> None:
    _table(cluster.runtime(arguments.node).containers(), arguments.output)


def _registry_log(cluster: Cluster, arguments: argparse.Namespace) -> None:
    _table([asdict(request) for request in cluster.registry(cluster.state()).requests()], arguments.output)


def _add_node(cluster: Cluster, arguments: argparse.Namespace) -> None:
    cluster.add_node(
        arguments.name, arguments.disk, max_pods=arguments.max_pods, reserved=arguments.reserve or ""
    )


def _table(rows: list[dict[str, Any]], form: str) -> None:
    """Print rows that have the same keys, as aligned columns or as JSON."""
    if form == "json":
        print(json.dumps(rows, indent=2))
        return
    columns = list(rows[0]) if rows else []
    widths = {column: max(len(column), *(len(str(row[column])) for row in rows)) for column in columns}
    for row in [{column: column.upper() for column in columns}, *rows] if rows else []:
        print("  ".join(f"{row[column]!s:{widths[column]}}" for column in columns).rstrip())


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r}: write a number of nodes, 0 or more")
    return int(text)


def _pods(text: str) -> int:
    if not (number := _count(text)):
        raise argparse.ArgumentTypeError(f"{text!r}: write how many pods fit, 1 or more")
    return number


def _real_count(text: str) -> int:
    number = _count(text)
    if number >= MOST_NODES:
        raise argparse.ArgumentTypeError(f"{text!r}: there can be {MOST_NODES - 1} real nodes")
    return number


def _label(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r}: write a short word of lower case letters, digits and dashes"
        )
    return text


def _node_name(text: str) -> str:
    if not _NAME.fullmatch(text) or text.startswith("fake-"):
        raise argparse.ArgumentTypeError(
            f"{text!r}: write a short name of lower case letters, digits and dashes"
        )
    return text


def _mebibytes(text: str) -> int:
    found = re.fullmatch(r"(\d+)\s*(M|Mi|MiB|G|Gi|GiB)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r}: write a size such as 200M or 1G")
    mebibytes = int(found[1]) * (1024 if found[2].startswith("G") else 1)
    if mebibytes < SMALLEST_DISK_MIB:
        raise argparse.ArgumentTypeError(f"{text!r}: write at least {SMALLEST_DISK_MIB}M")
    return mebibytes
