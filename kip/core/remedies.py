"""What to do about an image that is not on a node, from the words of the kubelet and the scheduler."""

import re

_LOOK_AT_NODE = "Look at the node: kubectl describe node. It keeps what it has."
_BY_ITSELF = "The kubelet tries again by itself; its message says what it met."

_BY_MESSAGE = {
    # Many of these are said together, as in "not found: no match for platform": the rarer one comes first.
    r"no match for platform|exec format error|no matching manifest": (
        "Push the image for the architecture of these nodes, or leave them out by NODE_SELECTOR or AFFINITY."
    ),
    r"too many requests|toomanyrequests|\b429\b|rate limit": (
        "The registry limits pulls, and they are tried again. A lower MAX_SURGE helps, or credentials in "
        "IMAGE_PULL_SECRETS."
    ),
    r"unauthorized|authentication required|denied|forbidden|no basic auth|\b40[13]\b": (
        "Give the nodes credentials: name a Secret in IMAGE_PULL_SECRETS. Some registries answer like this "
        "for an image that does not exist."
    ),
    r"not found|manifest unknown|name unknown|no such image|does not exist|\b404\b": (
        "Correct the name or the tag in IMAGES, or push the image."
    ),
    r"no space left|disk ?pressure|ephemeral-storage": ("Make room on the node's disk, or shorten the list."),
    r"x509|certificate": "Have the node's container runtime trust the registry's certificate.",
    r"no such host|connection re(?:fused|set)|no route|timeout|timed out|deadline exceeded|\b50\d\b": (
        "Check that the node reaches the registry. The kubelet tries again by itself."
    ),
    r"too many pods": (
        "The node runs as many pods as its kubelet allows: raise maxPods, or leave the node out."
    ),
    r"insufficient (?:cpu|memory)": (
        "Make room on the node, lower CACHING_CPU_REQUEST or CACHING_MEMORY_REQUEST, or set "
        "CACHING_PRIORITY_CLASS."
    ),
    r"\btaint": "Tolerate the taint in TOLERATIONS, or leave the node out by NODE_SELECTOR or AFFINITY.",
    r"out of memory|\boom\b|memory limit": "Raise CACHING_MEMORY_LIMIT.",
}

_BY_REASON = {
    "NodeNotReady": _LOOK_AT_NODE,
    "KubeletSilent": _LOOK_AT_NODE,
    "InvalidImageName": "Correct the reference in IMAGES.",
    "ErrImageNeverPull": "IMAGE_PULL_POLICY is Never: bring the image to the node, or set another policy.",
    "OOMKilled": "Raise CACHING_MEMORY_LIMIT.",
    "Evicted": "The node ran short of memory or disk: make room there.",
    "ErrImagePull": _BY_ITSELF,
    "ImagePullBackOff": _BY_ITSELF,
}

_SAYS_ALL = {"NodeNotReady", "KubeletSilent", "InvalidImageName", "ErrImageNeverPull", "OOMKilled"}
"""Of other reasons the message knows more."""


def remedy(reason: str, message: str) -> str:
    """Return what to do, in a sentence or two; "" where kip knows nothing."""
    if reason not in _SAYS_ALL:
        for pattern, text in _BY_MESSAGE.items():
            if re.search(pattern, message, re.IGNORECASE):
                return text
    return _BY_REASON.get(reason, "")
