"""What kubelet, containerd and the network plugins keep in folders that all clusters of a machine share."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

LOG_LINKS = Path("/var/log/containers")
NETWORK_RESULTS = Path("/var/lib/cni/results")
DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")


def remove_network_results(run_folder: Path) -> None:
    """Remove what the network plugins noted for pods whose network namespaces are below `run_folder`."""
    mark = f'"netns":"{run_folder}/'
    for path in NETWORK_RESULTS.glob("*"):
        with contextlib.suppress(OSError):  # another cluster may remove its own just now
            if mark in path.read_text("utf-8"):
                path.unlink()
    _remove_empty(NETWORK_RESULTS, NETWORK_RESULTS.parent)


def remove_log_links(folder: Path) -> None:
    """Remove the kubelets' links to containers' logs below `folder`."""
    for link in LOG_LINKS.glob("*.log"):
        with contextlib.suppress(OSError):
            if str(link.readlink()).startswith(f"{folder}/"):
                link.unlink()
    _remove_empty(LOG_LINKS)


def remove_dead_device_socket() -> None:
    """Remove the socket for device plugins, if no kubelet listens there."""
    remove_dead_sockets([DEVICE_PLUGINS / "kubelet.sock"])
    _remove_empty(DEVICE_PLUGINS, DEVICE_PLUGINS.parent)


def remove_dead_sockets(paths: Iterable[Path]) -> None:
    """Remove those of these sockets at which nobody listens."""
    for path in paths:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError:
                continue


def shim_sockets(run_folder: Path) -> list[Path]:
    """Return the sockets of the shims whose bundles are below `run_folder`.

    containerd keeps them in one folder for the whole machine; only the bundles tell whose they are.
    """
    return list(_sockets(run_folder))


def _sockets(run_folder: Path) -> Iterator[Path]:
    tasks = "containerd/io.containerd.runtime.v2.task/*/*"
    for bundle in [*run_folder.glob(tasks), *run_folder.glob(f"*/{tasks}")]:
        for name in ("bootstrap.json", "address"):
            with contextlib.suppress(OSError, ValueError):
                text = (bundle / name).read_text("utf-8")
                address = json.loads(text).get("address", "") if name == "bootstrap.json" else text
                path = Path(address.removeprefix("unix://"))
                if path.is_absolute():
                    yield path


def _remove_empty(*folders: Path) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
