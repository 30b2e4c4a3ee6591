"""The local cluster as the e2e tests use it: commands, kubectl, waiting, and keepers as processes."""

import json
import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import uuid4

import yaml
from localcluster.layout import RESERVED, Layout
from localcluster.process import Processes

TOP = Path(__file__).resolve().parents[2]
CONFIGMAP = "k8s-image-puller"
KIP = TOP / ".venv/bin/kip"
LOGS = TOP / "e2e/logs"
MANIFESTS = TOP / "deploy/kubernetes/kip.yaml"
UPSTREAM_RULES = [
    {
        "apiGroups": ["apps"],
        "resources": ["daemonsets"],
        "verbs": ["create", "delete", "list", "watch", "get"],
    },
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
]
"""The Role of upstream's chart and templates."""

BLIND_RULES = [
    *UPSTREAM_RULES,
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]},
]
"""Upstream's, and what it takes to edit the list without a restart; neither patch nor a look at pods."""

KIP_RULES = next(
    document["rules"]
    for document in yaml.safe_load_all(MANIFESTS.read_text("utf-8"))
    if document["kind"] == "Role"
)
"""kip's own Role, as deploy/kubernetes grants it."""

SECURE = {
    "runAsNonRoot": True,
    "runAsUser": 65535,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""What Pod Security `restricted` asks of a container."""

T = TypeVar("T")
_pause = threading.Event()


def command(*arguments: str, text: str | None = None, check: bool = True, **environment: str) -> str:
    """Run a command in the checkout and return what it prints; its failure fails the test."""
    end = ended(*arguments, text=text, **environment)
    if check and end.returncode:
        raise AssertionError(f"{shlex.join(arguments)}: exit {end.returncode}\n{end.stdout}\n{end.stderr}")
    return end.stdout


def ended(
    *arguments: str, text: str | None = None, timeout: float | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout to its end, whatever that is."""
    return subprocess.run(
        arguments,
        cwd=TOP,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env={**os.environ, **environment},
    )


def hack(*arguments: str) -> str:
    """Run one of the project's own scripts: `hack("cluster", "status")`."""
    return command(f"hack/{arguments[0]}", *arguments[1:])


def kubectl(*arguments: str, text: str | None = None, check: bool = True) -> str:
    """Run kubectl as the cluster's administrator."""
    return command("kubectl", *arguments, text=text, check=check)


def get(kind: str, name: str = "", *, namespace: str = "", labels: str = "") -> Any:
    """Return an object (None when there is none), or the items of a list, as plain values."""
    arguments = ["get", kind, *([name] if name else []), "-o", "json", "--ignore-not-found"]
    arguments += ["-n", namespace] if namespace else []
    arguments += ["-l", labels] if labels else []
    answer = kubectl(*arguments)
    if not name:
        return json.loads(answer)["items"] if answer else []
    return json.loads(answer) if answer else None


def apply(*documents: dict[str, Any]) -> None:
    """Apply objects as the administrator."""
    kubectl("apply", "-f", "-", text=yaml.safe_dump_all(documents))


def eventually(look: Callable[[], T], what: str, *, seconds: float = 60, pause: float = 0.2) -> T:
    """Look again and again until the result is true, and return it; say `what` was missing if it never is."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        _pause.wait(pause)
    return found


def nodes() -> list[str]:
    """Return the names of the nodes that caches are on, which are all but those reserved for one test."""
    return [node["metadata"]["name"] for node in get("nodes", labels=f"!{RESERVED}")]


def images_on(node: str) -> set[str]:
    """Return the names of the images that the node's runtime has, says the runtime."""
    return {image["name"] for image in json.loads(hack("cluster", "image", "ls", node, "-o", "json"))}


def has(node: str, image: str) -> bool:
    """Whether the node's runtime has the image."""
    return image in images_on(node)


@contextmanager
def registry_away() -> Iterator[None]:
    """The cluster's registry is stopped, and started again."""
    hack("cluster", "registry", "stop")
    try:
        yield
    finally:
        hack("cluster", "registry", "start")


def running_containers(namespace: str) -> set[tuple[str, str]]:
    """Return node and name of the containers of cache pods that run, say the kubelets."""
    return {
        (found["spec"]["nodeName"], status["name"])
        for found in get("pods", namespace=namespace, labels="app.kubernetes.io/name=image-puller")
        for status in found["status"].get("containerStatuses", ())
        if "running" in status["state"]
    }


def kubelet_of(node: str) -> int:
    """Return the id of the kubelet's process, 0 if it does not run."""
    return Processes(Layout()).pid(f"{node}-kubelet")


def new_namespace(name: str) -> str:
    """Make a namespace that enforces Pod Security `restricted`, and return its name once pods can be made."""
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    # After an outage of the API server, the controller that makes it is slow to come back (16 s after 15 s).
    kubectl("-n", name, "wait", "--for=create", "serviceaccount/default", "--timeout=2m")
    return name


def write_list(namespace: str, images: dict[str, str], **settings: str) -> None:
    """Write the image list, name to reference, into the ConfigMap that CONFIGMAP of a keeper names."""
    data = {"IMAGES": ";".join(f"{name}={image}" for name, image in images.items()), **settings}
    metadata = {"name": CONFIGMAP, "namespace": namespace}
    apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def keep_logs(namespace: str) -> None:
    """Write down what the API server knows about the namespace, and say where."""
    folder = LOGS / namespace
    folder.mkdir(parents=True, exist_ok=True)
    for name, arguments in {
        "objects.yaml": ("get", "daemonsets,deployments,pods,configmaps", "-o", "yaml"),
        "events.txt": ("get", "events", "--sort-by=.lastTimestamp"),
        "pods.txt": ("describe", "pods"),
    }.items():
        (folder / name).write_text(kubectl("-n", namespace, *arguments, check=False), "utf-8")
    (folder / "nodes.txt").write_text(command("kubectl", "describe", "nodes", check=False), "utf-8")
    print(f"\nlogs of the failed test: {folder.relative_to(TOP)}")


def use_cluster() -> None:
    """Bring up the local cluster of this checkout, with kip's images; let commands use it."""
    hack("cluster", "up")
    exports = hack("cluster", "env")
    for key in ("KUBECONFIG", "REGISTRY", "PRIVATE_REGISTRY", "PATH"):
        shown = subprocess.run(
            ["bash", "-c", f'eval "$1"; printf %s "${key}"', "bash", exports],
            capture_output=True,
            text=True,
            check=True,
        )
        os.environ[key] = shown.stdout
    hack("image", "push")


def registry() -> str:
    """Return the host and port under which nodes, pods and this machine know the registry."""
    return os.environ["REGISTRY"]


def container(image: str, *arguments: str, policy: str = "IfNotPresent") -> dict[str, Any]:
    """Return a container of an image of the cluster's registry, as a pod names it."""
    return {
        "name": "main",
        "image": f"{registry()}/{image}",
        "args": list(arguments),
        "imagePullPolicy": policy,
        "securityContext": SECURE,
    }


def pod(
    namespace: str,
    name: str,
    node: str,
    *containers: dict[str, Any],
    restart: str = "Always",
    tolerations: Sequence[dict[str, str]] = (),
) -> None:
    """Put a pod on a node, past the scheduler."""
    spec = {
        "nodeName": node,
        "containers": list(containers),
        "restartPolicy": restart,
        "terminationGracePeriodSeconds": 1,
        "tolerations": list(tolerations),
    }
    apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
    )


def kubeconfig_for(namespace: str, rules: list[dict[str, Any]], folder: Path) -> Path:
    """Make a ServiceAccount with exactly these rights; return a kubeconfig with its token."""
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "keeper", "namespace": namespace},
    }
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "keeper", "namespace": namespace},
        "rules": rules,
    }
    binding = {
        **role,
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "keeper"},
        "subjects": [{"kind": "ServiceAccount", "name": "keeper", "namespace": namespace}],
    }
    del binding["rules"]
    apply(account, role, binding)
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--minify"))
    config["users"][0]["user"] = {"token": _token(namespace)}
    path = folder / "keeper.kubeconfig"
    path.write_text(yaml.safe_dump(config), "utf-8")
    return path


def _token(namespace: str) -> str:
    return kubectl("-n", namespace, "create", "token", "keeper", "--duration=24h").strip()


@dataclass
class Keeper:
    """A keeper as a process on this machine, with the rights of a ServiceAccount and none of ours.

    `wrapper` is a command that takes the keeper's command as arguments and becomes it.
    """

    namespace: str
    kubeconfig: Path
    logfile: Path
    values: dict[str, str]
    wrapper: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None)

    def __enter__(self) -> Self:
        """Start it."""
        environment = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(self.kubeconfig),
            "NAMESPACE": self.namespace,
            "LOG_LEVEL": "debug",
            "POD_NAMESPACE": self.namespace,
            **self.values,
        }
        with self.logfile.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, KIP, "run"], stdout=log, stderr=log, env=environment, cwd=TOP
            )
        return self

    def __exit__(self, *_: object) -> None:
        """End it, if it still runs."""
        self.stop(signal.SIGKILL)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 5) -> int:
        """Send a signal, and return the exit code; it must end within that time."""
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """Return its log lines so far, of one event if named."""
        lines = [json.loads(line) for line in self.logfile.read_text("utf-8").splitlines() if line[:1] == "{"]
        return [line for line in lines if not name or line["event"] == name]


@contextmanager
def namespace_for(node: Any) -> Iterator[str]:
    """Make a namespace that enforces Pod Security `restricted` for a test, or a module of tests.

    It is gone afterwards; if they failed, what the API server knew about it is kept.
    """
    words = re.sub(r"[^a-z0-9]+", "-", node.name.lower()).removeprefix("test-")
    # A namespace takes a while to go, so that a second run needs another name.
    name = f"{words[:40].strip('-')}-{uuid4().hex[:4]}"
    yield new_namespace(name)
    if getattr(node, "failed", False):
        keep_logs(name)
    kubectl("delete", "namespace", name, "--wait=false")


def make_deployment(namespace: str) -> str:
    """Make a Deployment for a cache to belong to, whose pod never runs; return its name."""
    name = "kubernetes-image-puller"
    kubectl("-n", namespace, "create", "deployment", name, "--image=none.invalid/none", "--replicas=1")
    return name


def make_keeper(namespace: str, rules: list[dict[str, Any]], folder: Path, values: dict[str, str]) -> Keeper:
    """Make a keeper with these rights and settings; `folder` takes its kubeconfig."""
    logs = LOGS / namespace
    logs.mkdir(parents=True, exist_ok=True)
    kubeconfig = kubeconfig_for(namespace, rules, folder)
    values = {"KIP_IMAGE": f"{os.environ['REGISTRY']}/kip-sleep:dev", **values}
    logfile = logs / f"keeper-{len(list(logs.glob('keeper-*'))) + 1}.log"
    return Keeper(namespace, kubeconfig, logfile, values)
