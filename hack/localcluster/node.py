"""One real node: its own containerd, kubelet and bridge, and if wanted a small disk of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ociimage import Entry, Image, layer_of, write_layout

from localcluster import cgroups, leftovers, mounts
from localcluster.layout import RESERVED, Addresses, ClusterError, Layout, Node
from localcluster.network import delete_bridge, ensure_bridge
from localcluster.pki import Pki
from localcluster.process import Processes, end, mentioning
from localcluster.programs import Programs
from localcluster.registry import user_agent

PAUSE_TAG = "1"
CNI_PROGRAMS = "/usr/lib/cni"


class RealNode:
    """A node of one cluster."""

    def __init__(
        self, node: Node, layout: Layout, addresses: Addresses, programs: Programs, processes: Processes
    ) -> None:
        self._node = node
        self._layout = layout
        self._addresses = addresses
        self._programs = programs
        self._processes = processes
        self._folder = layout.state_folder / "nodes" / node.name
        self._run = layout.run_folder / node.name
        self._containerd, self._kubelet = f"{node.name}-containerd", f"{node.name}-kubelet"

    @property
    def socket(self) -> Path:
        """Return containerd's socket."""
        return self._run / "containerd.sock"

    @property
    def alive(self) -> bool:
        """Whether runtime and kubelet run."""
        return self._processes.alive(self._containerd) and self._processes.alive(self._kubelet)

    def ensure(self) -> bool:
        """Start what does not run. Return whether anything was started."""
        ensure_bridge(self._layout.bridge(self._node.number), self._addresses.gateway(self._node.number))
        for folder in (self._folder, self._run):
            folder.mkdir(parents=True, exist_ok=True)
        if self._node.disk_mib:
            mounts.ensure_disk(self._folder / "disk.img", self._disk, self._node.disk_mib)
        started = self._start_containerd()
        return self._start_kubelet() or started

    def stop(self) -> None:
        """End everything at once, as a machine that dies: kubelet, runtime, shims and containers."""
        self._processes.stop(self._kubelet, number=9)
        self._processes.stop(self._containerd, number=9)
        shims = leftovers.shim_sockets(self._run)
        end(mentioning(self._run), 9)
        for folder in self._cgroups():
            end(cgroups.processes(folder), 9)
        for path in shims:
            path.unlink(missing_ok=True)
        mounts.unmount_below(self._run)
        mounts.unmount_below(self._folder, keep=self._disk)
        for folder in self._cgroups():
            cgroups.remove(folder)
        leftovers.remove_network_results(self._run)

    def remove(self) -> None:
        """Stop it and leave nothing of it on this machine."""
        self.stop()
        mounts.unmount_below(self._folder)
        mounts.release_loop(self._folder / "disk.img")
        delete_bridge(self._layout.bridge(self._node.number))
        leftovers.remove_log_links(self._folder)
        for folder in (self._folder, self._run):
            shutil.rmtree(folder, ignore_errors=True)

    def images(self) -> list[dict[str, str]]:
        """Return the images that the runtime has: name and digest, as the runtime itself lists them."""
        lines = self._ctr("images", "list").splitlines()[1:]
        found = [line.split() for line in lines]
        return [{"name": words[0], "digest": words[2]} for words in found]

    def containers(self) -> list[dict[str, Any]]:
        """Return the containers that run, as the runtime itself lists them: pod, name and image."""
        running = {
            line.split()[0] for line in self._ctr("tasks", "list").splitlines()[1:] if " RUNNING" in line
        }
        return [container for name in sorted(running) if (container := self._container(name))]

    def _container(self, name: str) -> dict[str, Any] | None:
        found = json.loads(self._ctr("containers", "info", name))
        labels = found.get("Labels") or {}
        if labels.get("io.cri-containerd.kind") != "container":
            return None
        return {
            "namespace": labels.get("io.kubernetes.pod.namespace", ""),
            "pod": labels.get("io.kubernetes.pod.name", ""),
            "container": labels.get("io.kubernetes.container.name", ""),
            "image": found.get("Image", ""),
        }

    def _ctr(self, *arguments: str) -> str:
        command = [self._programs["ctr"], "--address", str(self.socket), "--namespace", "k8s.io", *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode:
            said = (ended.stderr.strip().splitlines() or [""])[-1]
            log = self._processes.log(self._containerd)
            raise ClusterError(
                f"the runtime of {self._node.name} refused `ctr {arguments[0]}`: {said}; read {log}"
            )
        return ended.stdout

    @property
    def _disk(self) -> Path:
        return self._folder / "disk"

    @property
    def _root_link(self) -> Path:
        return self._run / "kubelet"

    @property
    def _storage(self) -> Path:
        return self._disk if self._node.disk_mib else self._folder

    def _cgroups(self) -> list[Path]:
        return [folder / self._node.name for folder in self._layout.cgroups]

    def _write_hosts(self, registry: str) -> None:
        """Have containerd ask this registry without TLS."""
        hosts = self._folder / "certs.d" / registry / "hosts.toml"
        hosts.parent.mkdir(parents=True, exist_ok=True)
        hosts.write_text(
            f'server = "http://{registry}"\n[host."http://{registry}"]\ncapabilities = ["pull", "resolve"]\n'
            # All nodes have the same address here; so the registry's log tells them apart.
            f'[host."http://{registry}".header]\n"User-Agent" = "{user_agent(self._node.name)}"\n',
            "utf-8",
        )

    def _start_containerd(self) -> bool:
        for registry in (self._addresses.registry, self._addresses.private_registry):
            self._write_hosts(registry)
        cni = self._folder / "cni" / "10-bridge.conflist"
        cni.parent.mkdir(exist_ok=True)
        cni.write_text(json.dumps(self._cni()), "utf-8")
        config = self._folder / "containerd.toml"
        config.write_text(self._containerd_config(), "utf-8")
        programs = ":".join(self._programs.folders)
        command = [self._programs["containerd"], "--config", str(config)]
        if not self._processes.alive(self._containerd):
            # containerd forgets shims that were killed, but leaves their sockets.
            leftovers.remove_dead_sockets(leftovers.shim_sockets(self._run))
        started = self._processes.ensure(self._containerd, command, files=[config], path=programs)
        if started:
            self._processes.wait(self._containerd, self._runtime_answers, "containerd did not answer")
            self._import_pause()
        return started

    def _runtime_answers(self) -> bool:
        if not self.socket.exists():
            return False
        command = [self._programs["ctr"], "--address", str(self.socket), "version"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _import_pause(self) -> None:
        """Give the runtime the image of the pods' own container, under exactly the name that it looks for."""
        entries = layer_of(Entry("pause", Path(self._programs["pause"]).read_bytes(), 0o755))
        with tempfile.TemporaryDirectory() as folder:
            image = Image((entries,), user="65535:65535", entrypoint=("/pause",))
            write_layout(Path(folder) / "layout", image, tag=PAUSE_TAG)
            archive = f"{folder}/pause.tar"
            subprocess.run(["tar", "-cf", archive, "-C", f"{folder}/layout", "."], check=True)
            self._ctr("images", "import", "--base-name", self._pause.removesuffix(f":{PAUSE_TAG}"), archive)

    @property
    def _pause(self) -> str:
        return f"{self._addresses.registry}/pause:{PAUSE_TAG}"

    def _containerd_config(self) -> str:
        # All that it keeps stays below our own folders, so that it can be cleaned up and does not meet what
        # another node keeps: network namespaces, runc's state. NRI's socket is one for the whole machine.
        return f"""version = 3
root = "{self._storage}/containerd"
state = "{self._run}/containerd"
[grpc]
address = "{self.socket}"
[plugins.'io.containerd.internal.v1.opt']
path = "{self._folder}/opt"
[plugins.'io.containerd.nri.v1.nri']
disable = true
[plugins.'io.containerd.cri.v1.images']
snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{self._pause}"
[plugins.'io.containerd.cri.v1.images'.registry]
config_path = "{self._folder}/certs.d"
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
disable_apparmor = true
netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{CNI_PROGRAMS}"]
conf_dir = "{self._folder}/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = false
Root = "{self._run}/runc"
"""

    def _cni(self) -> dict[str, Any]:
        number = self._node.number
        addresses = {
            "type": "host-local",
            "dataDir": str(self._run / "ipam"),
            "ranges": [
                [{"subnet": self._addresses.pods(number), "gateway": self._addresses.gateway(number)}]
            ],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {
            "type": "bridge",
            "bridge": self._layout.bridge(number),
            "isGateway": True,
            "ipMasq": False,
            "ipam": addresses,
        }
        return {"cniVersion": "1.0.0", "name": self._node.name, "plugins": [bridge, {"type": "loopback"}]}

    def _start_kubelet(self) -> bool:
        pki = Pki(self._layout, self._addresses)
        kubeconfig = pki.kubeconfig(self._node.name, f"/O=system:nodes/CN=system:node:{self._node.name}")
        config = self._folder / "kubelet.json"
        config.write_text(json.dumps(self._kubelet_config(pki), indent=2), "utf-8")
        for folder in self._cgroups():
            cgroups.make(folder)
        self._link_root()
        command = [
            self._programs["kubelet"],
            f"--config={config}",
            f"--kubeconfig={kubeconfig}",
            f"--hostname-override={self._node.name}",
            f"--node-ip={self._addresses.gateway(self._node.number)}",
            f"--root-dir={self._root_link}",
            f"--cert-dir={self._folder}/kubelet-pki",
        ]
        if self._node.reserved:
            command.append(f"--node-labels={RESERVED}={self._node.reserved}")
        return self._processes.ensure(self._kubelet, command, files=[config])

    def _link_root(self) -> None:
        """Give the kubelet's folder a short path, as it makes sockets there: see Layout.run_folder."""
        root = self._storage / "kubelet"
        root.mkdir(exist_ok=True)
        if not self._root_link.is_symlink() or self._root_link.readlink() != root:
            self._root_link.unlink(missing_ok=True)
            self._root_link.symlink_to(root)

    def _kubelet_config(self, pki: Pki) -> dict[str, Any]:
        config: dict[str, Any] = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self._addresses.gateway(self._node.number),
            "healthzPort": 0,
            "readOnlyPort": 0,
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._layout.tag}/{self._node.name}",
            "failCgroupV1": False,
            "failSwapOn": False,
            # A machine without CAP_SYS_RESOURCE cannot lower it.
            "oomScoreAdj": 0,
            "enforceNodeAllocatable": [],
            "podLogsDir": f"{self._storage}/pod-logs",
            "volumePluginDir": f"{self._folder}/volume-plugins",
            "makeIPTablesUtilChains": False,
            "authentication": {
                "x509": {"clientCAFile": pki.path("ca.crt")},
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
            },
            "authorization": {"mode": "Webhook"},
            # Nothing answers there; without it every pod gets a warning that is none of its business.
            "clusterDNS": [self._addresses.api_service],
            "clusterDomain": "cluster.local",
            "nodeStatusUpdateFrequency": "4s",
            "nodeLeaseDurationSeconds": 12,
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "50Mi"},
        }
        if self._node.disk_mib:
            config |= {
                "imageGCHighThresholdPercent": 20,
                "imageGCLowThresholdPercent": 5,
                "imageMinimumGCAge": "5s",
                "evictionHard": {
                    "memory.available": "50Mi",
                    "imagefs.available": "5%",
                    "nodefs.available": "5%",
                },
                # The default of 5 minutes would make tests slow.
                "evictionPressureTransitionPeriod": "5s",
            }
        else:
            config["localStorageCapacityIsolation"] = False
        if self._node.max_pods:
            config["maxPods"] = self._node.max_pods
        if self._node.reserved:
            # From the first moment: a taint that came later would not keep the pods of DaemonSets away.
            taint = {"key": RESERVED, "value": self._node.reserved, "effect": "NoSchedule"}
            config["registerWithTaints"] = [taint]
        return config
