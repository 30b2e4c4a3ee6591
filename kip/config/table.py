"""Every setting in one table: reading, defaults and documentation all follow it.

The first fifteen keys are those of kubernetes-image-puller, with the defaults that its documentation and its
chart name (its code has others for the memory). The rest are kip's own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kip.config import mappings, scheduling, values
from kip.config.choices import LogFormat, LogLevel, Platform, PullPolicy, ReadyWhen, Refresh
from kip.config.diagnostics import Diagnostics
from kip.config.images import KEY as IMAGES
from kip.config.images import CacheImage, read_images

Reader = Callable[[str, str, Diagnostics], Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """One row: the key in the environment and the ConfigMap, and the field of `Settings` that it fills.

    `kind` tells people what to write, `default` is written as they would, `unit` may be empty.
    An empty `default` of a `required` setting is refused; any other default is read as it stands.
    """

    key: str
    field: str
    kind: str
    default: str
    unit: str
    help: str
    parse: Reader
    required: bool = False


def read_image_list(key: str, text: str, findings: Diagnostics) -> tuple[CacheImage, ...]:
    """Read the image list; one without any usable entry is a problem, and then each refused entry is."""
    found = read_images(text)
    if found.images:
        findings.notes += found.notes
    else:
        refused = [note for note in found.notes if note.refused]
        remedy = "Write name=image;name=image, for example tools=quay.io/group/tools:1.0."
        findings.problem(key, text, "has no image that can be cached", remedy)
        for note in refused:
            findings.problem(note.key, note.value, note.message, note.remedy)
    return found.images


def _one_of(words: type[StrEnum]) -> str:
    return ", ".join(words)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "CACHING_INTERVAL_HOURS", "caching_interval", "number or duration", "1", "hours",
        "How often the nodes look again at moving tags, and the health check's longest pause. Fractions and "
        "durations (`30m`) are allowed, from one minute to ten years.",
        values.interval,
    ),
    Setting(
        IMAGES, "images", "list", "", "",
        "What to cache: `name=image;name=image`, in the order of pulling. Newlines and commas separate too, "
        "names may be left out, a YAML or JSON list will do.",
        read_image_list,
        required=True,
    ),
    Setting(
        "CACHING_MEMORY_REQUEST", "caching_memory_request", "quantity", "10Mi", "bytes",
        "Memory request of each cache container; `0` asks for none.",
        values.quantity,
    ),
    Setting(
        "CACHING_MEMORY_LIMIT", "caching_memory_limit", "quantity", "20Mi", "bytes",
        "Memory limit of each cache container; `0` sets none. Some container runtimes start nothing "
        "below 12Mi.",
        values.quantity,
    ),
    Setting(
        "CACHING_CPU_REQUEST", "caching_cpu_request", "quantity", ".05", "cores",
        "CPU request of each cache container; `0` asks for none.",
        values.quantity,
    ),
    Setting(
        "CACHING_CPU_LIMIT", "caching_cpu_limit", "quantity", ".2", "cores",
        "CPU limit of each cache container; `0` sets none.",
        values.quantity,
    ),
    Setting(
        "DAEMONSET_NAME", "daemonset_name", "name", "kubernetes-image-puller", "",
        "Name of the DaemonSet that is the cache, at most 63 characters.",
        values.instance,
    ),
    Setting(
        "DAEMONSET_ANNOTATIONS", "daemonset_annotations", "mapping", "{}", "",
        "Annotations of the DaemonSet (not of its pods), as JSON, YAML or `key=value,key2=value2`.",
        mappings.read_annotations,
    ),
    Setting(
        "NAMESPACE", "namespace", "name", "k8s-image-puller", "",
        "Namespace of the cache. Unset, it is the keeper's own; the default is for a keeper outside a "
        "cluster.",
        values.label,
    ),
    Setting(
        "NODE_SELECTOR", "node_selector", "mapping", "{}", "",
        "Labels of the nodes to cache on, as JSON, YAML or `key=value,key2=value2`.",
        mappings.read_node_selector,
    ),
    Setting(
        "IMAGE_PULL_SECRETS", "image_pull_secrets", "list of names", "", "",
        "Secrets to pull with, `name;name`. They must exist in the cache's namespace.",
        values.names,
    ),
    Setting(
        "AFFINITY", "affinity", "Affinity", "{}", "",
        "Affinity of the cache pods, as JSON or YAML.",
        scheduling.read_affinity,
    ),
    Setting(
        "TOLERATIONS", "tolerations", "list of Toleration", "[]", "",
        'Tolerations of the cache pods, as JSON or YAML. `[{"operator": "Exists"}]` reaches every node.',
        scheduling.read_tolerations,
    ),
    Setting(
        "KIP_IMAGE", "kip_image", "image", "quay.io/eclipse/kubernetes-image-puller:next", "",
        "Image that the sleeper program is copied from, by `/bin/sh` and `cp`.",
        values.reference,
    ),
    Setting(
        "DEPLOYMENT_NAME", "deployment_name", "name", "", "",
        "The keeper's own Deployment, which owns the cache: it goes when the Deployment goes. "
        "Without it the cache has no owner.",
        values.subdomain,
    ),
    Setting(
        "CONFIGMAP_NAME", "configmap_name", "name", "", "",
        "ConfigMap to watch for settings, where that is allowed; its keys win over the environment.",
        values.subdomain,
    ),
    Setting(
        "IMAGE_PULL_POLICY", "image_pull_policy", _one_of(PullPolicy), PullPolicy.AUTO, "",
        "When a starting container asks the registry. `auto`: always for moving tags, else if the image is "
        "absent.",
        values.choice(PullPolicy),
    ),
    Setting(
        "INSECURE_REGISTRIES", "insecure_registries", "list of hosts", "", "",
        "Registries that the keeper asks by plain HTTP, `host:port;host`. It asks registries only whether a "
        "tag has moved; the nodes have a configuration of their own.",
        values.registries,
    ),
    Setting(
        "MAX_SURGE", "max_surge", "percentage or number", "100%", "nodes",
        "How many nodes change, and pull, at a time.",
        values.surge,
    ),
    Setting(
        "REFRESH", "refresh", _one_of(Refresh), Refresh.AUTO, "",
        "Whether the nodes look again every interval. `auto`: if a registry says that a tag has moved, or "
        "does not tell; while it gives no answer it is asked again.",
        values.choice(Refresh),
    ),
    Setting(
        "PLATFORM", "platform", _one_of(Platform), Platform.AUTO, "",
        "What the cluster is; on OpenShift the cache pods leave user and group to it. `auto` asks the API "
        "server.",
        values.choice(Platform),
    ),
    Setting(
        "CACHING_PRIORITY_CLASS", "caching_priority_class", "name", "", "",
        "PriorityClass of the cache pods.",
        values.subdomain,
    ),
    Setting(
        "PULL_JOB_NAMESPACES", "pull_job_namespaces", "list of names", "", "",
        "Namespaces whose ImagePullJobs and ImageListPullJobs are run, `name;name`. Empty: none are. It "
        "needs their definitions and rights of its own, see docs/pull-jobs.md.",
        values.names,
    ),
    Setting(
        "PULL_BUDGET", "pull_budget", "number", "50", "nodes",
        "How many nodes pull at once for pull jobs, all jobs together; each gets a fair share. `0` pauses "
        "them all.",
        values.count,
    ),
    Setting(
        "HTTP_ADDRESS", "http_address", "address", "", "",
        "Where probes, metrics and the status page are served: `:8080` or `host:port`. Empty: nothing "
        "listens.",
        values.address,
    ),
    Setting(
        "READY_WHEN", "ready_when", _one_of(ReadyWhen), ReadyWhen.RECONCILED, "",
        "When `/readyz` says yes. `complete`: only while every image is on every node, for `helm --wait`, "
        "`kubectl rollout status` and Argo CD; one bad image then keeps them waiting.",
        values.choice(ReadyWhen),
    ),
    Setting(
        "LOG_FORMAT", "log_format", _one_of(LogFormat), LogFormat.AUTO, "",
        "How log lines look. `auto`: `console` on a terminal, else `json`.",
        values.choice(LogFormat),
    ),
    Setting(
        "LOG_LEVEL", "log_level", _one_of(LogLevel), LogLevel.INFO, "",
        "The least important lines that are logged.",
        values.choice(LogLevel),
    ),
)  # fmt: skip
"""One row per setting, in the order of the documentation."""
