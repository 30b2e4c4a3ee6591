"""etcd, the API server, the controllers and the scheduler."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

from localcluster.layout import Addresses, ClusterError, Layout
from localcluster.network import ensure_bridge, ensure_service_rule
from localcluster.pki import Pki
from localcluster.process import Processes
from localcluster.programs import Programs

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
NODE_GRACE_SECONDS = 20
"""After so long without a sign of life a node is NotReady; Kubernetes' own 50 s would make tests slow."""

PARTS = {"api": "kube-apiserver", "etcd": "etcd", "controllers": "kube-controller-manager"}
"""What can be away for a while, by the name that the command line has for it."""


def is_ready(node: dict[str, Any]) -> bool:
    """Whether the API server has it that the node is Ready."""
    conditions = node["status"].get("conditions", ())
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)


class ControlPlane:
    """The control plane of one cluster."""

    def __init__(
        self, layout: Layout, addresses: Addresses, programs: Programs, processes: Processes
    ) -> None:
        self._layout = layout
        self._addresses = addresses
        self._programs = programs
        self._processes = processes
        self._pki = Pki(layout, addresses)

    def ensure(self) -> bool:
        """Bring up what does not run. Return whether anything was started."""
        ensure_bridge(self._layout.bridge(0), self._addresses.control)
        ensure_service_rule(self._layout, self._addresses)
        self._pki.prepare()
        started = [self._etcd(), self._api_server()]
        if any(started):
            self._processes.wait("kube-apiserver", self._answers, "the API server was not ready")
        started += [self._controllers(), self._scheduler()]
        return any(started)

    def stop(self, part: str) -> None:
        """Kill a part: asked to end, the API server and etcd first wait some 10 s for their clients."""
        self._processes.stop(PARTS[part], number=signal.SIGKILL)

    def kubectl(self, *arguments: str, text: str | None = None, check: bool = True) -> str:
        """Run kubectl as the administrator; return what it prints."""
        command = [self._programs["kubectl"], f"--kubeconfig={self._layout.admin_kubeconfig}", *arguments]
        ended = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if check and ended.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {ended.stderr.strip()}")
        return ended.stdout

    def objects(self, kind: str, *arguments: str) -> list[dict[str, Any]]:
        """Return all objects of a kind."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, "-o", "json", *arguments))["items"]
        return found

    def _answers(self) -> bool:
        return self.kubectl("get", "--raw", "/readyz", check=False) == "ok"

    def _etcd(self) -> bool:
        client, peer = f"http://{self._addresses.loopback}:2379", f"http://{self._addresses.loopback}:2380"
        command = [
            self._programs["etcd"],
            f"--data-dir={self._layout.state_folder / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]
        return self._processes.ensure("etcd", command)

    def _api_server(self) -> bool:
        policy = self._layout.state_folder / "audit-policy.json"
        policy.write_text(json.dumps(AUDIT_POLICY), "utf-8")
        path = self._pki.path
        command = [
            self._programs["kube-apiserver"],
            f"--etcd-servers=http://{self._addresses.loopback}:2379",
            f"--bind-address={self._addresses.control}",
            f"--advertise-address={self._addresses.control}",
            "--secure-port=6443",
            f"--tls-cert-file={path('apiserver.crt')}",
            f"--tls-private-key-file={path('apiserver.key')}",
            f"--client-ca-file={path('ca.crt')}",
            f"--kubelet-client-certificate={path('apiserver-kubelet.crt')}",
            f"--kubelet-client-key={path('apiserver-kubelet.key')}",
            # The nodes have no names that this machine could resolve.
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-key-file={path('accounts.pub')}",
            f"--service-account-signing-key-file={path('accounts.key')}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={self._addresses.service_network}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction,PodSecurity",
            "--allow-privileged",
            "--profiling=false",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self._layout.audit_log}",
            "--audit-log-format=json",
            "--audit-log-maxsize=200",
            "--audit-log-maxbackup=2",
        ]
        return self._processes.ensure("kube-apiserver", command, files=[policy])

    def _controllers(self) -> bool:
        command = [
            self._programs["kube-controller-manager"],
            *self._client("controller-manager"),
            "--secure-port=10257",
            f"--root-ca-file={self._pki.path('ca.crt')}",
            f"--service-account-private-key-file={self._pki.path('accounts.key')}",
            "--use-service-account-credentials",
            f"--node-monitor-grace-period={NODE_GRACE_SECONDS}s",
            "--node-monitor-period=2s",
            "--profiling=false",
        ]
        return self._processes.ensure("kube-controller-manager", command)

    def _scheduler(self) -> bool:
        command = [
            self._programs["kube-scheduler"],
            *self._client("scheduler"),
            "--secure-port=10259",
            "--profiling=false",
        ]
        return self._processes.ensure("kube-scheduler", command)

    def _client(self, name: str) -> list[str]:
        kubeconfig = self._pki.path(f"{name}.kubeconfig")
        options = [f"--{use}kubeconfig={kubeconfig}" for use in ("", "authentication-", "authorization-")]
        # At the usual 20 requests a second hundreds of fake nodes and their pods would take minutes.
        pace = ["--kube-api-qps=1000", "--kube-api-burst=2000"]
        return [*options, *pace, "--leader-elect=false", f"--bind-address={self._addresses.loopback}"]
