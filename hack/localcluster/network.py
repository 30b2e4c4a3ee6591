"""Bridges and the one rule that leads pods to the API server's Service address."""

from __future__ import annotations

import json
import subprocess

from localcluster.layout import Addresses, Layout


def ensure_bridge(name: str, address: str) -> None:
    """Make a bridge with that address (a /24), up; what is there is kept."""
    if _ip("link", "show", "dev", name, check=False).returncode:
        _ip("link", "add", "name", name, "type", "bridge")
        _ip("address", "add", f"{address}/24", "dev", name)
    _ip("link", "set", "dev", name, "up")


def delete_bridge(name: str) -> None:
    """Remove a bridge, if there is one."""
    _ip("link", "delete", "dev", name, check=False)


def bridges(prefix: str) -> list[str]:
    """Return the names of all network devices that begin with `prefix`."""
    found = json.loads(_ip("-json", "link", "show").stdout)
    return [link["ifname"] for link in found if link["ifname"].startswith(prefix)]


def ensure_service_rule(layout: Layout, addresses: Addresses) -> None:
    """Lead what pods send to the API server's Service address to the API server; no kube-proxy runs."""
    if not service_rules(layout):
        _iptables("-A", *_rule(layout, addresses))


def service_rules(layout: Layout) -> list[list[str]]:
    """Return this cluster's rules, as arguments for iptables."""
    lines = _iptables("-S", "PREROUTING").stdout.splitlines()
    return [line.split()[1:] for line in lines if f"--comment {layout.tag} " in line]


def delete_service_rules(layout: Layout) -> None:
    """Remove this cluster's rules."""
    for rule in service_rules(layout):
        _iptables("-D", *rule)


def _rule(layout: Layout, addresses: Addresses) -> list[str]:
    match = ["-d", f"{addresses.api_service}/32", "-p", "tcp", "--dport", "443"]
    comment = ["-m", "comment", "--comment", layout.tag]
    return ["PREROUTING", *match, *comment, "-j", "DNAT", "--to-destination", f"{addresses.control}:6443"]


def _iptables(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["iptables", "-w", "-t", "nat", *arguments], check=True, capture_output=True, text=True
    )


def _ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)
