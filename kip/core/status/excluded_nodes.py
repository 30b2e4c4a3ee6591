"""Nodes that are selected and that taints leave out: the DaemonSet controller does not count them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kip.core.render.taints import is_passing, tolerations_for
from kip.core.status.cell import NODE_NOT_READY, UNTOLERATED_TAINT
from kip.core.text import join_names


@dataclass(frozen=True, slots=True, order=True)
class ExcludedNode:
    """A node that is selected, and the taints, as they are written, that keep a DaemonSet's pods from it."""

    node: str
    taints: tuple[str, ...]

    @property
    def standing(self) -> tuple[str, ...]:
        """Return the taints that stay until somebody takes them away."""
        return tuple(taint for taint in self.taints if not is_passing(taint))

    @property
    def lacking(self) -> str:
        """Return as JSON what TOLERATIONS lacks, "" where the node only has to get well."""
        return " and ".join(json.dumps(found) for found in tolerations_for(self.standing))

    @property
    def why(self) -> tuple[str, str]:
        """Return reason and message for the images that the node lacks."""
        if not self.lacking:
            return NODE_NOT_READY, f"left out for as long as it has the taint {', '.join(self.taints)}"
        return UNTOLERATED_TAINT, (
            f"{', '.join(self.standing)}; to cache there too, add {self.lacking} to TOLERATIONS"
        )


def remarks(found: Iterable[ExcludedNode]) -> Iterator[str]:
    """Say for each toleration that is missing which nodes it keeps empty, and how to add it.

    That is no fault: a node of the control plane is left out on purpose.
    """
    groups: dict[str, list[ExcludedNode]] = {}
    for one in found:
        groups.setdefault(one.lacking, []).append(one)
    for lacking, group in groups.items():
        yield _remark(group)
        if lacking:
            yield f"  Add {lacking} to TOLERATIONS, or exclude them by NODE_SELECTOR or AFFINITY."
        else:
            yield "  The images come once the taint is gone, see `kubectl describe node`."


def _remark(group: list[ExcludedNode]) -> str:
    taints = sorted({taint for one in group for taint in one.standing or one.taints})
    count = "1 selected node is" if len(group) == 1 else f"{len(group)} selected nodes are"
    return f"{count} left out by taints: {join_names([one.node for one in group])} ({join_names(taints)})"
