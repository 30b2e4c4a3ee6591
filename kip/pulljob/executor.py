"""What a step asks for, done: pods created and removed."""

import re
from typing import Any

import structlog

from kip.cluster.api import PODS, Cluster
from kip.errors import ApiError, Conflict, Forbidden, Invalid, NotFound, Unauthorized
from kip.pulljob.node_progress import Removal
from kip.pulljob.planner import JobPlan, PodStart
from kip.pulljob.pod import Shape, pod_name, render_pod
from kip.pulljob.pod_view import PullFailure
from kip.pulljob.podbook import PodBook
from kip.pulljob.spec import PullJob

log = structlog.get_logger()


class PodExecutor:
    """Does the actions of one namespace's jobs. For one thread."""

    def __init__(self, cluster: Cluster, namespace: str, shape: Shape, book: PodBook) -> None:
        self._cluster, self._namespace, self._shape, self._book = cluster, namespace, shape, book
        self._removed: set[str] = set()

    def do(self, job: PullJob, step: JobPlan) -> dict[str, PullFailure | None]:
        """Do the actions; return the starts that came to nothing, as the next step takes them.

        Raises Forbidden and Unauthorized where a right is missing, NotFound where there is no namespace.
        """
        self.remove(step.removals)
        refused: dict[str, PullFailure | None] = {}
        for number, start in enumerate(step.starts):
            try:
                refused |= self._create(job, start)
            except ApiError as error:
                if is_final(error):
                    raise
                # No answer to this one; the others would have none either.
                log.warning("pods_not_created", job=job.name, error=str(error))
                return refused | {late.node: None for late in step.starts[number:]}
        return refused

    def remove(self, removals: tuple[Removal, ...]) -> None:
        """Delete the pods, each once. What fails now comes up again in the next step."""
        self._removed &= {pod.uid for pod in self._book.views()}
        for removal in removals:
            if removal.uid in self._removed:
                continue
            try:
                self._cluster.delete(PODS, self._namespace, removal.name, uid=removal.uid)
            except Conflict:
                pass  # another pod of that name by now
            except ApiError as error:
                if is_final(error):
                    raise
                log.warning("pod_not_deleted", name=removal.name, error=str(error))
                return
            self._removed.add(removal.uid)

    def _create(self, job: PullJob, start: PodStart) -> dict[str, PullFailure | None]:
        pod: dict[str, Any] | None
        try:
            pod = self._cluster.create(PODS, self._namespace, render_pod(job, start, self._shape))
        except Conflict:
            # Another driver's, or our own whose answer was lost: the next step goes on from it.
            pod = self._cluster.get(PODS, self._namespace, pod_name(job, start))
        except (Forbidden, Invalid) as error:
            if is_final(error):
                raise
            return {start.node: PullFailure(error.reason or type(error).__name__, str(error))}
        if pod:
            self._book.put(pod)
        return {}


RBAC = re.compile(r" cannot (?:create|delete|get|list|patch|update|watch) resource ")
"""The words of the authorizer; a webhook may say in its own that an image "cannot be used"."""


def is_final(error: ApiError) -> bool:
    """Whether an error is about the caller, not about one pod: nothing else will be allowed either.

    A 403 comes from the authorizer, which says that somebody "cannot create resource", or from an admission
    plugin (quota, Pod Security), which speaks of the pod.
    """
    missing_right = isinstance(error, Forbidden) and bool(RBAC.search(str(error)))
    return missing_right or isinstance(error, Unauthorized | NotFound)
