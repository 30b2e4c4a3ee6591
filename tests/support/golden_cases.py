"""The settings whose DaemonSets are kept as golden manifests."""

from collections.abc import Callable

from samples import OWNER, settings

from kip.config.settings import Platform
from kip.core.render.daemonset import UPSTREAM_LABELS, render

DIGEST = "sha256:" + "0123456789abcdef" * 4
IMAGES = f"""
ide=registry.example/ide:next
tools=registry.example:5000/group/tools:1.4.2
registry.example/base@{DIGEST}
"""


def plain() -> dict:
    """A moving tag, a version, a digest without a name."""
    return render(settings(IMAGES), platform=Platform.KUBERNETES, owner=OWNER)


def openshift() -> dict:
    """On OpenShift the platform gives uid, gid and fsGroup."""
    return render(settings(IMAGES), platform=Platform.OPENSHIFT, owner=OWNER)


def everything() -> dict:
    """Every setting that the manifest depends on, set."""
    chosen = settings(
        IMAGES,
        DAEMONSET_NAME="cache",
        DAEMONSET_ANNOTATIONS='{"team": "platform", "example.com/a": "1"}',
        CACHING_MEMORY_REQUEST="5Mi",
        CACHING_MEMORY_LIMIT="0",
        CACHING_CPU_REQUEST="1m",
        CACHING_CPU_LIMIT="0",
        NODE_SELECTOR="pool=build,disktype=ssd",
        AFFINITY='{"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": '
        '[{"matchExpressions": [{"key": "gpu", "operator": "DoesNotExist"}]}]}}}',
        TOLERATIONS='[{"operator": "Exists"}]',
        IMAGE_PULL_SECRETS="first;second",
        KIP_IMAGE=f"registry.example/kip-sleep@{DIGEST}",
        IMAGE_PULL_POLICY="IfNotPresent",
        MAX_SURGE="3",
        CACHING_PRIORITY_CLASS="low",
    )
    return render(chosen, platform=Platform.KUBERNETES, refreshed_at="2026-11-21T08:00:00Z")


def taken_over() -> dict:
    """A cache of upstream's keeps its selector, which cannot be changed."""
    return render(settings(IMAGES), platform=Platform.KUBERNETES, owner=OWNER, selector=UPSTREAM_LABELS)


CASES: dict[str, Callable[[], dict]] = {
    "plain": plain,
    "openshift": openshift,
    "everything": everything,
    "taken-over": taken_over,
}
