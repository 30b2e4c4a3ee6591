"""What to do about an image that is not on a node, from the words of the kubelet and the scheduler."""

import re

_LOOK_AT_NODE = "Look at the node: kubectl describe node. What it has cached is not lost by that."

_BY_MESSAGE = (
    # Kubernetes' quotas and policies speak of pods, registries of images: the rarer word comes first.
    (r"no match for platform|exec format error|no matching manifest", "Push the image for this machine's architecture, or leave these nodes out by NODE_SELECTOR or AFFINITY."),
    (r"too many requests|toomanyrequests|\b429\b|rate limit", "The registry limits pulls. It is tried again; a lower MAX_SURGE or credentials in IMAGE_PULL_SECRETS help."),
    (r"unauthorized|authentication required|denied|forbidden|no basic auth|\b40[13]\b", "Give the nodes credentials: name a Secret in IMAGE_PULL_SECRETS. Some registries answer so for an image that does not exist."),
    (r"not found|manifest unknown|name unknown|no such image|does not exist|\b404\b", "Correct the name or the tag in IMAGES, or push the image."),
    (r"no space left|disk pressure|diskpressure|ephemeral-storage", "Make room on the node's disk, or shorten the list."),
    (r"x509|certificate", "Have the node's container runtime trust the registry's certificate."),
    (r"no such host|connection refused|connection reset|no route|timeout|timed out|deadline exceeded|\b5\d\d\b", "Check that the node reaches the registry. The kubelet tries again by itself."),
    (r"too many pods", "The node runs as many pods as its kubelet allows: raise maxPods, or leave the node out."),
    (r"insufficient (?:cpu|memory)", "Make room on the node, lower CACHING_CPU_REQUEST or CACHING_MEMORY_REQUEST, or set CACHING_PRIORITY_CLASS."),
    (r"taint", "Tolerate the taint in TOLERATIONS, or leave the node out by NODE_SELECTOR or AFFINITY."),
    (r"out of memory|\boom\b|memory limit", "Raise CACHING_MEMORY_LIMIT."),
)  # fmt: skip

_BY_REASON = {
    "NodeNotReady": _LOOK_AT_NODE,
    "KubeletSilent": _LOOK_AT_NODE,
    "InvalidImageName": "Correct the reference in IMAGES.",
    "ErrImageNeverPull": "IMAGE_PULL_POLICY is Never: bring the image to the node, or set another policy.",
    "OOMKilled": "Raise CACHING_MEMORY_LIMIT.",
    "Evicted": "The node ran short of memory or disk: make room there.",
    "ErrImagePull": "The kubelet tries again by itself; its message says what it met.",
    "ImagePullBackOff": "The kubelet tries again by itself; its message says what it met.",
}

_FIRST = frozenset({"NodeNotReady", "KubeletSilent", "InvalidImageName", "ErrImageNeverPull", "OOMKilled"})
"""These reasons say all; of the others the message knows more."""


def remedy(reason: str, message: str) -> str:
    """Return a sentence on what to do, "" where kip knows none."""
    if reason not in _FIRST:
        for pattern, text in _BY_MESSAGE:
            if re.search(pattern, message, re.IGNORECASE):
                return text
    return _BY_REASON.get(reason, "")
