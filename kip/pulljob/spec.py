"""A pull job: what an ImagePullJob or ImageListPullJob asks for, as values.

Source of fields, defaults and rules: OpenKruise, apis/apps/v1beta1/image{,list}pulljob_types.go,
apis/apps/defaults/v1beta1.go and pkg/webhook/image{,list}pulljob/validating.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DEFAULT_TIMEOUT_SECONDS = 600
DEFAULT_BACKOFF_LIMIT = 3
DEFAULT_PARALLELISM = 1
MOST_IMAGES = 255
HASH_LENGTH = 10


@dataclass(frozen=True, slots=True)
class Labels:
    """A label selector. Each of `expressions` has `key`, `operator` and `values`, as Kubernetes has them."""

    labels: Mapping[str, str] = field(default_factory=dict)
    expressions: tuple[Mapping[str, Any], ...] = ()

    @property
    def text(self) -> str:
        """Return it as the API server takes it in `labelSelector`."""
        words = [f"{key}={value}" for key, value in self.labels.items()]
        for one in self.expressions:
            values = ",".join(one.get("values") or ())
            words.append(
                {
                    "In": f"{one['key']} in ({values})",
                    "NotIn": f"{one['key']} notin ({values})",
                    "Exists": one["key"],
                    "DoesNotExist": f"!{one['key']}",
                }[one["operator"]]
            )
        return ",".join(words)


@dataclass(frozen=True, slots=True)
class PullJob:
    """One job: each of `images` is to be pulled on each node that is meant, once.

    `key` names the job among all others in its namespace: it is what its pods are labelled with, and stays
    when the spec is edited. `node_names` excludes the other two; with none of the three all nodes are meant.
    `parallelism` is how many nodes may pull at once, over all images (0: none starts). `timeout_seconds` is
    for one attempt, `backoff_limit` how often one image is tried again on one node. `forever` is the
    completion policy Never. `keep_seconds` is kip's own: so long the pods hold what they pulled.
    """

    name: str
    namespace: str
    images: tuple[str, ...]
    key: str
    kind: str = "ImagePullJob"
    pull_secrets: tuple[str, ...] = ()
    node_names: tuple[str, ...] = ()
    node_labels: Labels | None = None
    pod_labels: Labels | None = None
    parallelism: int = DEFAULT_PARALLELISM
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS
    backoff_limit: int = DEFAULT_BACKOFF_LIMIT
    forever: bool = False
    deadline_seconds: int | None = None
    ttl_seconds: int | None = None
    sandbox_labels: Mapping[str, str] = field(default_factory=dict)
    sandbox_annotations: Mapping[str, str] = field(default_factory=dict)
    pull_policy: str = "IfNotPresent"
    keep_seconds: int = 0

    @property
    def everything(self) -> int:
        """Return the set of all images, as a bit for each."""
        return (1 << len(self.images)) - 1


def short_hash(text: str) -> str:
    """Return a name for `text` that fits into the name of an object: ten hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_LENGTH]
