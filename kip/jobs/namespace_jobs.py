"""One namespace with jobs: its objects, its pods, and the workers that run its jobs."""

from collections.abc import Callable
from functools import partial
from random import Random

from kip.cluster.api import PODS, PULL_JOBS, PULL_LIST_JOBS, Cluster, Selection
from kip.jobs.job_object import JobObject, read_job_object
from kip.jobs.shelf import Shelf
from kip.pulljob.pod_view import JOB_LABEL, PodView
from kip.pulljob.podbook import PodBook


class JobInformers(PodBook):
    """The pods of pull jobs in a namespace; `woken` is called at each change."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        woken: Callable[[], None],
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        super().__init__(cluster, Selection(PODS, namespace, labels=JOB_LABEL), clock, random)
        self._woken = woken

    def wake(self) -> None:
        """End a wait, and wake who waits for several namespaces."""
        super().wake()
        self._woken()


class NamespaceJobs:
    """What is followed of one namespace, from `start` to `stop`."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        woken: Callable[[], None],
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self.namespace = namespace
        self.book = JobInformers(cluster, namespace, woken, clock, random)
        self.shelves: list[Shelf[JobObject]] = [
            Shelf(
                cluster,
                Selection(resource, namespace),
                partial(read_job_object, resource),
                woken,
                clock,
                random,
            )
            for resource in (PULL_JOBS, PULL_LIST_JOBS)
        ]
        self.tidied_at = clock()

    def start(self) -> None:
        """Begin to follow it."""
        self.book.start()
        for shelf in self.shelves:
            shelf.start()

    def stop(self) -> None:
        """Follow it no more."""
        self.book.stop()
        for shelf in self.shelves:
            shelf.stop()

    @property
    def complete(self) -> bool:
        """Whether everything has been listed. Raises the error of pods that may not be."""
        self.book.wait(0)
        return self.book.complete and all(shelf.complete for shelf in self.shelves)

    @property
    def problem(self) -> str:
        """Return why something of it may not be read, "" where nothing is in the way."""
        return next((str(shelf.refused) for shelf in self.shelves if shelf.refused), "")

    def jobs(self) -> list[JobObject]:
        """Return its jobs, the oldest first."""
        found = [job for shelf in self.shelves for job in shelf.items()]
        return sorted(found, key=lambda job: (job.created, job.uid))

    def pods(self) -> dict[str, list[PodView]]:
        """Return its pods by the key of their job."""
        by_key: dict[str, list[PodView]] = {}
        for pod in self.book.views():
            by_key.setdefault(pod.job, []).append(pod)
        return by_key
