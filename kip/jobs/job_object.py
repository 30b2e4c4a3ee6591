"""A job as the API server has it, read into a value; one that cannot be run is a value too."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from kip.cluster.api import Resource
from kip.errors import InternalError, JobError
from kip.pulljob.manifest_reader import VERSIONS, read_job
from kip.pulljob.spec import PullJob, short_hash

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class JobObject:
    """One object. `job` is None where its spec cannot be used, and `problem` says why then."""

    resource: Resource
    manifest: Mapping[str, Any]
    key: str
    job: PullJob | None
    problem: str = ""

    @property
    def uid(self) -> str:
        """Return what makes it this object, and no later one of the same name."""
        return str(self.manifest["metadata"]["uid"])

    @property
    def namespace(self) -> str:
        """Return its namespace."""
        return str(self.manifest["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """Return its name."""
        return str(self.manifest["metadata"]["name"])

    @property
    def generation(self) -> int:
        """Return the number of its spec, which an edit raises."""
        return int(self.manifest["metadata"].get("generation") or 0)

    @property
    def status(self) -> Manifest:
        """Return its status as it was last heard of."""
        return dict(self.manifest.get("status") or {})

    @property
    def created(self) -> str:
        """Return when it was made, in a form that sorts."""
        return str(self.manifest["metadata"].get("creationTimestamp") or "")

    @property
    def going(self) -> bool:
        """Whether it is being deleted."""
        return bool(self.manifest["metadata"].get("deletionTimestamp"))

    @property
    def done(self) -> bool:
        """Whether its status says that this spec was run to its end."""
        status = self.status
        return bool(status.get("completionTime")) and status.get("observedGeneration") == self.generation

    @property
    def expires(self) -> datetime | None:
        """Return when it is to be deleted, for one that is done."""
        if not self.done or self.job is None or self.job.forever or self.job.ttl_seconds is None:
            return None
        return datetime.fromisoformat(self.status["completionTime"]) + timedelta(seconds=self.job.ttl_seconds)

    @property
    def owner(self) -> Manifest:
        """Return it as one of an object's `ownerReferences`, without rights on its finalizers.

        As the controller: no ReplicaSet adopts a pod of it, whatever labels sandboxConfig gives it, and a
        drain does not take it for a pod that nobody would make again.
        """
        return {
            "apiVersion": f"{self.resource.group}/{self.resource.version}",
            "kind": self.resource.kind,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
        }

    @property
    def plan(self) -> str:
        """Return a hash of what is to be pulled, and how; the pace and the object's lifetime are no part."""
        return short_hash(repr(replace(self.job, parallelism=0, ttl_seconds=None))) if self.job else ""


def read_job_object(resource: Resource, manifest: Mapping[str, Any]) -> JobObject:
    """Read an object; never raises, whatever got past the schema."""
    key = short_hash(manifest["metadata"]["uid"])
    try:
        document = {**manifest, "apiVersion": VERSIONS[0], "kind": resource.kind}
        return JobObject(resource, manifest, key, read_job(document, key=key))
    except JobError as error:
        return JobObject(resource, manifest, key, None, "; ".join(map(str, error.problems)))
    except Exception as error:  # noqa: BLE001 - one bad object must not hide the others
        return JobObject(resource, manifest, key, None, str(InternalError(error)))
