"""The matrix in one sentence."""

from kip.core.status.cell import ImageState
from kip.core.status.matrix import Matrix


def summary_line(matrix: Matrix) -> str:
    """Say in a line whether all is there, or how much."""
    place = f"DaemonSet {matrix.namespace}/{matrix.daemonset}"
    images, wanted = len(matrix.counts()), matrix.progress.wanted
    nodes = max(wanted, len(matrix.nodes) + len(matrix.podless))  # one that is lost is not counted as wanted
    if matrix.complete:
        return f"Complete: {images} images on {wanted} nodes ({place})."
    if matrix.progress.state == "no matching nodes":
        return f"No node matches: check NODE_SELECTOR, AFFINITY and TOLERATIONS ({place})."
    cached = sum(cell.state is ImageState.CACHED for cell in matrix.cells)
    return f"Not complete: {cached} of {images * nodes} images on {nodes} nodes are there ({place})."
