"""What keeps images from their nodes: each trouble once, with the images and the nodes that have it."""

from collections.abc import Iterable
from dataclasses import dataclass

from kip.core.status.cell import FAILED_CREATE, OF_THE_NODE, UNTOLERATED_TAINT, Cell, ImageState
from kip.core.status.matrix import Matrix
from kip.core.status.remedies import remedy_text
from kip.core.text import join_names

STARTS = ("RunContainerError", "StartError", "ContainerCannotRun", "CrashLoopBackOff", "OOMKilled", "Error")
SAME = {
    "ImagePullBackOff": "ErrImagePull",
    "RegistryUnavailable": "ErrImagePull",
    **dict.fromkeys(STARTS, "StartError"),
}
"""The kubelet's words for the same trouble, by turns."""

FAILED = (ImageState.FAILED, ImageState.CACHED)
"""An image that is held by the pod before can fail as well: the newest does not come up."""

VAGUE = ("ImagePullBackOff", "CrashLoopBackOff")
SOME_IMAGES = 3


@dataclass(frozen=True, slots=True)
class ImageProblem:
    """One reason, and where it is.

    `images` are the names of the entries; `nodes` those that are known by name, `count` how many there are.
    `failed`: the image is at fault, or what it needs; else the node, or the place on it. `remedy` says what
    to do, "" where nothing is known.
    """

    reason: str
    message: str
    remedy: str
    images: tuple[str, ...]
    nodes: tuple[str, ...]
    count: int
    failed: bool

    @property
    def key(self) -> tuple[str, ...]:
        """Return what makes two troubles of two looks the same one."""
        return (SAME.get(self.reason, self.reason), *(self.images if self.failed else ()))

    @property
    def line(self) -> str:
        """Say what is wrong with which images on which nodes, in a line."""
        images = ", ".join(self.images) if len(self.images) <= SOME_IMAGES else f"{len(self.images)} images"
        return f"{images} on {self.where}: {self.reason}" + (f": {self.message}" if self.message else "")

    @property
    def lines(self) -> tuple[str, ...]:
        """Say what is wrong, and in a line below what to do about it, where that is known."""
        return (self.line, f"  {self.remedy}") if self.remedy else (self.line,)

    @property
    def where(self) -> str:
        """Name some of the nodes, and count the others."""
        if not self.nodes:
            return f"{self.count} node{'s' * (self.count != 1)}"
        return join_names(self.nodes, self.count)


def image_problems(matrix: Matrix) -> tuple[ImageProblem, ...]:
    """Return the troubles of a cache: of images first, then of nodes, each by how many nodes have it.

    What fails is told image by image; what keeps all images of a node away once for all of them.
    """
    found = [*image_problems_in(matrix.cells)]
    if not matrix.podless and (refusal := refusal_of(matrix)):
        found.append(refusal)
    return tuple(sorted(found, key=lambda trouble: (not trouble.failed, -trouble.count)))


def refusal_of(matrix: Matrix) -> ImageProblem | None:
    """Return why nodes that are not known by name have no pod."""
    if not matrix.refused or not matrix.without_pod:
        return None
    remedy = remedy_text(FAILED_CREATE, matrix.refused)
    names = tuple(name for name, _ in matrix.counts())
    return ImageProblem(FAILED_CREATE, matrix.refused, remedy, names, (), matrix.without_pod, failed=False)


def image_problems_in(cells: Iterable[Cell]) -> tuple[ImageProblem, ...]:
    """Return the troubles of these cells, in their order."""
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        if cell.reason:
            groups.setdefault(_kind(cell), []).append(cell)
    return tuple(_trouble(cells) for cells in groups.values())


def _trouble(cells: list[Cell]) -> ImageProblem:
    # The word that tells most: "Back-off pulling image" may not say why.
    first = max(cells, key=lambda cell: (cell.reason not in VAGUE, len(cell.message)))
    nodes = tuple(dict.fromkeys(cell.node for cell in cells))
    return ImageProblem(
        reason=first.reason,
        message=first.message,
        remedy=remedy_text(first.reason, first.message),
        images=tuple(dict.fromkeys(cell.name for cell in cells)),
        nodes=nodes,
        count=len(nodes),
        failed=_is_failed(first),
    )


def _kind(cell: Cell) -> tuple[str, ...]:
    reason = SAME.get(cell.reason, cell.reason)
    if _is_failed(cell):
        return (reason, cell.name)
    # Each taint needs a toleration of its own.
    return (reason, cell.message) if cell.reason == UNTOLERATED_TAINT else (reason,)


def _is_failed(cell: Cell) -> bool:
    return cell.state in FAILED and cell.reason not in OF_THE_NODE
