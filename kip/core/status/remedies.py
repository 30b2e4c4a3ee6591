"""What is behind a reason that the kubelet, the scheduler or a controller gives, and what to do about it.

The words are those of containerd, CRI-O and Kubernetes.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do where the reason matches as a whole, and the message in part.

    `lasting`: no retry cures it, as far as the words say. `of_pull`: what to do about a pull job, where that
    is something else than `text`, which may name settings of the cache.
    """

    reason: str
    message: str
    text: str
    lasting: bool = False
    of_pull: str | None = None

    def fits(self, reason: str, message: str) -> bool:
        """Whether this is the remedy for such a fault."""
        return bool(re.fullmatch(self.reason, reason) and re.search(self.message, message, re.IGNORECASE))


_NAMES = re.compile(r'"[^"]*"|\S*/\S*')

PULLS = "ErrImagePull|ImagePullBackOff|RegistryUnavailable"
STARTS = "CreateContainer(?:Config)?Error|RunContainerError|StartError|ContainerCannotRun|CrashLoopBackOff"

TRUST = r"x509|certificate|server gave HTTP response to HTTPS"
PASSING = r"timeout|timed out|connection re(?:fused|set)|\b5\d\d\b|\b429\b|too many requests"
PLATFORM = r"no match for platform|no matching manifest"
REFUSED = r"unauthorized|authentication required|denied|forbidden|no basic auth|\b40[13]\b"
MISSING = (
    r"not found|(?:manifest|name) unknown|no such image|does not exist|\b404\b|invalid (?:image|reference)"
)
TOO_LITTLE = r"OOM-killed|memory limit too low|unable to set memory limit|cannot allocate memory"

SLEEPER = "It is the sleeper that the node cannot get: set KIP_IMAGE to an image that it can pull."
SLEEPER_OF_PULL = (
    "It is the sleeper that the node cannot get: give --kip-image, or KIP_IMAGE, that it can pull."
)
REACH = "It is tried again. If it lasts, see whether the node reaches the registry: network, proxy, limits."
RAISE = "Raise CACHING_MEMORY_LIMIT; 30Mi is enough for every container runtime."
LIMITED = "Its memory limit is too low: see what a webhook or a LimitRange sets."
ADDED = "The node cannot run the sleeper in this image: see what a webhook or a security profile adds to it."
TAINTED = "Or leave the node out: by NODE_SELECTOR or AFFINITY, or by what was asked for."
NOT_WELL = "The image comes once the taint is gone, see `kubectl describe node`."
ROOM = "Make room on the node, lower CACHING_*_REQUEST, or set CACHING_PRIORITY_CLASS."
PODS_ROOM = "Make room on the node: its kubelet's maxPods is reached. Or set CACHING_PRIORITY_CLASS."
SETS_UP = "The node cannot set up the pod: see its network plug-in, runtime and disk."
SILENT = "The node does not answer, see `kubectl describe node`. The image comes with it, or the node goes."

REMEDIES = (
    Remedy(PULLS, "^init container", SLEEPER, of_pull=SLEEPER_OF_PULL),
    Remedy(PULLS, "no space left", "Make room on the node's disk."),
    Remedy(PULLS, TRUST, "Have the node's runtime trust the registry; containerd by certs.d/*/hosts.toml."),
    Remedy(PULLS, PASSING, REACH),
    Remedy(
        PULLS,
        PLATFORM,
        "Push it for this node's machine too, or use NODE_SELECTOR.",
        lasting=True,
        of_pull="Push it for this node's machine too, or choose nodes by --selector.",
    ),
    Remedy(
        PULLS,
        REFUSED,
        "Name a Secret that may pull it in IMAGE_PULL_SECRETS.",
        lasting=True,
        of_pull="Name a Secret that may pull it: --secret, or pullSecrets of the job.",
    ),
    Remedy(
        PULLS,
        MISSING,
        "Correct the reference in IMAGES, or push the image.",
        lasting=True,
        of_pull="Correct the reference, or push the image.",
    ),
    Remedy(PULLS, "", REACH),
    Remedy(
        "InvalidImageName",
        "",
        "Correct the reference in IMAGES.",
        lasting=True,
        of_pull="Correct the reference.",
    ),
    Remedy(
        "ErrImageNeverPull",
        "",
        "Load it on the node, or set another IMAGE_PULL_POLICY.",
        lasting=True,
        of_pull="Load it on the node.",
    ),
    Remedy(r"\w+", TOO_LITTLE, RAISE, lasting=True, of_pull=LIMITED),
    Remedy("OOMKilled", "back-off", RAISE, lasting=True, of_pull=LIMITED),
    Remedy("OOMKilled", "", RAISE, of_pull=LIMITED),
    Remedy(STARTS, "", ADDED, lasting=True),
    Remedy(r"\w+", r"back-off \S+ restarting", ADDED, lasting=True),
    Remedy("FailedCreatePodSandBox|FailedMount", "", SETS_UP),
    Remedy("Unschedulable", "Insufficient", ROOM),
    Remedy("Unschedulable", "Too many pods", PODS_ROOM),
    Remedy("Unschedulable", "taint", "Tolerate it by TOLERATIONS, or leave the node out by AFFINITY."),
    Remedy(r"OutOf\w+|Evicted|\w*Pressure", "", "Make room on the node."),
    Remedy("UntoleratedTaint", "", TAINTED, lasting=True),
    Remedy("NodeNotReady", "has the taint", NOT_WELL),
    Remedy("NodeNotReady|KubeletSilent", "", SILENT),
    Remedy("FailedCreate", "(?:exceeded|failed) quota", "Raise the quota; `kip check` says by how much."),
    Remedy("FailedCreate", "violates PodSecurity", "Allow `restricted` pods there; see what a webhook adds."),
    Remedy("FailedCreate", "security context constraint", "Let the pods use restricted-v2; see PLATFORM."),
    Remedy("FailedCreate", "(?:minimum|maximum) (?:memory|cpu)", "Fit CACHING_* to the LimitRange."),
    Remedy("FailedCreate", "", "The API server refuses the pods; `kip check` says more."),
)  # fmt: skip
"""The first that fits counts: a registry's passing trouble goes before what its words may also mean."""


def remedy_for(reason: str, message: str) -> Remedy | None:
    """Return the remedy for a fault, None where none is known.

    What the message quotes, and addresses in it, are the user's own names: `app:1.503` is no answer 503.
    """
    words = _NAMES.sub(" ", message)
    return next((row for row in REMEDIES if row.fits(reason, words)), None)


def remedy_text(reason: str, message: str) -> str:
    """Return what to do about a fault of the cache, "" where nothing is known."""
    remedy = remedy_for(reason, message)
    return remedy.text if remedy else ""


def remedy_of_pull(reason: str, message: str) -> str:
    """Return what to do about a fault of a pull, "" where nothing is known."""
    remedy = remedy_for(reason, message)
    if remedy is None:
        return ""
    return remedy.text if remedy.of_pull is None else remedy.of_pull
