"""Manifests of pull jobs read into values, with every rule of OpenKruise's webhook and all problems at once.

Where kip is stricter than OpenKruise it refuses what could only fail later: a negative timeout, a list whose
deadline is below its timeout, an unknown pull policy, a misspelt field. Where it is more tolerant, the field
may be left out: `completionPolicy`, which OpenKruise's own schema requires and its webhook fills in.
"""

from collections.abc import Callable, Mapping
from typing import Any

from kip.config.diagnostics import Diagnostics, Unreadable
from kip.config.mappings import place
from kip.config.names import label_value_fault, qualified_name_fault, subdomain_fault
from kip.config.references import parse_reference
from kip.errors import JobError
from kip.pulljob.fields import Fields
from kip.pulljob.spec import (
    DEFAULT_BACKOFF_LIMIT,
    DEFAULT_PARALLELISM,
    DEFAULT_TIMEOUT_SECONDS,
    MOST_IMAGES,
    Labels,
    PullJob,
    short_hash,
)

GROUP = "apps.kruise.io"
VERSIONS = (f"{GROUP}/v1beta1", f"{GROUP}/v1alpha1")
ONE, LIST = "ImagePullJob", "ImageListPullJob"
POLICIES = ("IfNotPresent", "Always")
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def is_job(document: Any) -> bool:
    """Whether a manifest claims to be a pull job."""
    return isinstance(document, Mapping) and document.get("kind") in (ONE, LIST)


def read_job(document: Mapping[str, Any], *, namespace: str = "", key: str = "") -> PullJob:
    """Return the job that a manifest describes. Raise JobError with all that is wrong.

    `namespace` is for a manifest that names none, `key` as in PullJob; by default it is made of the name and
    the nodes: the same images for another pool are another job, which must not take this one's pods for its.
    """
    findings = Diagnostics()
    kind = _kind(document, findings)
    metadata = Fields("metadata", document.get("metadata"), findings)
    name = metadata.text("name")
    if not name:
        metadata.problem("name", "is missing", "Give the job a name.")
    elif fault := subdomain_fault(name):
        metadata.problem("name", fault, "Write lower case letters, digits and dashes.")
    spec = Fields("spec", document.get("spec"), findings)
    nodes = _nodes(spec)
    job = {
        "name": name,
        "namespace": metadata.text("namespace") or namespace,
        "kind": kind,
        "key": key or short_hash(f"{kind}/{name}/{nodes}"),
        "images": _images(spec, kind),
        **nodes,
        **_pulling(spec),
        **_completion(spec),
    }
    spec.raw("tolerations")  # of newer versions; kip's pods tolerate every taint, as it can only ask for
    spec.refuse_others()
    if findings.problems:
        raise JobError(tuple(findings.problems))
    return PullJob(**job)


def _kind(document: Mapping[str, Any], findings: Diagnostics) -> str:
    kind, version = document.get("kind"), document.get("apiVersion")
    if kind not in (ONE, LIST):
        findings.problem("kind", kind, "is no pull job", f"Write {ONE} or {LIST}.")
    if version not in VERSIONS:
        findings.problem("apiVersion", version, "is not served", f"Write {' or '.join(VERSIONS)}.")
    return str(kind)


def _images(spec: Fields, kind: str) -> tuple[str, ...]:
    mine, other, other_kind = ("images", "image", ONE) if kind == LIST else ("image", "images", LIST)
    if spec.has(other):
        spec.problem(other, f"is no field of {kind}", f"Write {mine}, or kind: {other_kind}.")
    if kind == LIST:
        images = spec.texts("images")
        _check_count(spec, len(images))
        for number, image in enumerate(images):
            _check_image(image, f"spec.images[{number}]", spec.findings)
        return images
    image = spec.text("image")
    if not image:
        spec.problem("image", "names no image", "Write an image such as quay.io/group/name:1.0.")
        return ()
    _check_image(image, "spec.image", spec.findings)
    return (image,)


def _check_count(spec: Fields, count: int) -> None:
    if not count and not spec.raw("images"):
        spec.problem("images", "names no image", "List at least one image.")
    if count > MOST_IMAGES:
        spec.problem("images", f"has {count} images, {MOST_IMAGES} are allowed", "Make two jobs of it.")


def _check_image(image: str, path: str, findings: Diagnostics) -> None:
    try:
        parse_reference(image)
    except Unreadable as fault:
        findings.problem(path, image, str(fault), fault.hint)


def _nodes(spec: Fields) -> dict[str, Any]:
    if spec.has("selector") and spec.has("podSelector"):
        spec.problem("podSelector", "excludes selector", "Keep one of the two.")
    found: dict[str, Any] = {}
    if spec.has("selector"):
        part = spec.part("selector")
        found["node_names"] = part.texts("names")
        labels = _labels(part)
        if part.raw("names") == []:
            part.problem("names", "names no node", "Name some; for all nodes leave selector out.")
        if part.has("names") and (labels.labels or labels.expressions):
            part.problem(
                "names",
                "excludes matchLabels and matchExpressions",
                "Keep the names or the labels; kip does not guess which was meant.",
            )
        if not found["node_names"]:
            found["node_labels"] = labels
        part.refuse_others()
    if spec.has("podSelector"):
        part = spec.part("podSelector")
        found["pod_labels"] = _labels(part)
        part.refuse_others()
    return found


def _labels(part: Fields) -> Labels:
    labels = part.pairs("matchLabels")
    for key, value in labels.items():
        where = place(f"{part.path}.matchLabels", key)
        _check_name(where, key, qualified_name_fault(key), part.findings)
        _check_name(where, value, label_value_fault(value), part.findings)
    return Labels(labels, tuple(_expression(one) for one in part.objects("matchExpressions")))


def _expression(part: Fields) -> dict[str, Any]:
    key, operator, values = part.text("key"), part.text("operator"), part.texts("values")
    _check_name(f"{part.path}.key", key, qualified_name_fault(key), part.findings)
    if operator not in OPERATORS:
        part.problem(
            "operator", "is no operator of a label selector", f"Write one of {', '.join(OPERATORS)}."
        )
    elif operator in ("In", "NotIn") and not values:
        part.problem("values", "is empty", f"Give {operator} at least one value.")
    elif operator in ("Exists", "DoesNotExist") and values:
        part.problem("values", f"goes with no {operator}", "Remove it, or write In or NotIn.")
    for number, value in enumerate(values):
        _check_name(f"{part.path}.values[{number}]", value, label_value_fault(value), part.findings)
    part.refuse_others()
    return {"key": key, "operator": operator, "values": list(values)}


def _pulling(spec: Fields) -> dict[str, Any]:
    secrets = spec.texts("pullSecrets")
    for number, name in enumerate(secrets):
        _check_name(f"spec.pullSecrets[{number}]", name, subdomain_fault(name), spec.findings)
    policy, sandbox = spec.part("pullPolicy"), spec.part("sandboxConfig")
    found = {
        "pull_secrets": secrets,
        "parallelism": _parallelism(spec),
        "timeout_seconds": policy.number("timeoutSeconds", least=1) or DEFAULT_TIMEOUT_SECONDS,
        "backoff_limit": _backoff_limit(policy),
        "sandbox_labels": _sandbox(sandbox, "labels", label_value_fault),
        "sandbox_annotations": _sandbox(sandbox, "annotations", lambda _: ""),
        "pull_policy": spec.word("imagePullPolicy", POLICIES, POLICIES[0]),
    }
    policy.refuse_others()
    sandbox.refuse_others()
    return found


def _parallelism(spec: Fields) -> int:
    value = spec.raw("parallelism")
    if isinstance(value, str):
        if value.isascii() and value.isdigit():
            return int(value)
        remedy = "Write how many nodes may pull at once, such as 10."
        spec.problem(
            "parallelism",
            "is no whole number" + (", and no percentage is allowed" * value.endswith("%")),
            remedy,
        )
        return DEFAULT_PARALLELISM
    found = spec.number("parallelism", least=0)
    return DEFAULT_PARALLELISM if found is None else found


def _backoff_limit(policy: Fields) -> int:
    """Return the retries; any negative number means the default, as in OpenKruise."""
    found = policy.number("backoffLimit", least=-(2**31))
    return DEFAULT_BACKOFF_LIMIT if found is None or found < 0 else found


def _sandbox(part: Fields, name: str, fault_of: Callable[[str], str]) -> dict[str, str]:
    pairs = part.pairs(name)
    for key, value in pairs.items():
        where = place(f"{part.path}.{name}", key)
        _check_name(where, key, qualified_name_fault(key), part.findings)
        _check_name(where, value, fault_of(value), part.findings)
    return pairs


def _completion(spec: Fields) -> dict[str, Any]:
    part = spec.part("completionPolicy")
    forever = part.word("type", ("Always", "Never"), "Always") == "Never"
    deadline = part.number("activeDeadlineSeconds", least=1, kind="deadline")
    ttl = part.number("ttlSecondsAfterFinished", least=0)
    for name, given in (("activeDeadlineSeconds", deadline), ("ttlSecondsAfterFinished", ttl)):
        if forever and given is not None:
            part.problem(name, "goes with type Always only", "Remove it: a job of type Never does not end.")
    timeout = spec.part("pullPolicy").raw("timeoutSeconds") or DEFAULT_TIMEOUT_SECONDS
    if deadline and not forever and isinstance(timeout, int) and deadline < timeout:
        part.problem(
            "activeDeadlineSeconds",
            f"is less than pullPolicy.timeoutSeconds, which is {timeout}",
            f"Write at least {timeout}, or a timeoutSeconds of at most {deadline}.",
        )
    part.refuse_others()
    return {"forever": forever, "deadline_seconds": deadline, "ttl_seconds": ttl}


def _check_name(where: str, value: str, fault: str, findings: Diagnostics) -> None:
    if fault:
        findings.problem(where, value, f"{value!r} {fault}", "Write a name that Kubernetes allows.")
