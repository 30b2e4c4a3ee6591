"""What of a job is done, kept in a ConfigMap that belongs to it, so that any keeper can go on from there."""

from dataclasses import dataclass
from typing import Any

import structlog

from kip.cluster.api import CONFIGMAPS, Cluster
from kip.errors import Conflict, NotFound
from kip.jobs.job_object import JobObject
from kip.pulljob.record import Record
from kip.pulljob.record_text import RecordUnreadable, from_text, to_text

Manifest = dict[str, Any]

RECORD, PLAN = "record", "plan"
LABELS = {"app.kubernetes.io/name": "kip-pull", "app.kubernetes.io/managed-by": "kip"}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record, and the hash of the plan that it is of."""

    record: Record
    plan: str


@dataclass(slots=True)
class RecordStore:
    """The ConfigMap of one job. Raises ApiError; a Conflict when somebody else has written it meanwhile."""

    cluster: Cluster
    found: JobObject
    _written: Manifest | None = None

    @property
    def name(self) -> str:
        """Return the ConfigMap's name."""
        return f"kip-pull-job-{self.found.key}"

    def load(self) -> StoredRecord | None:
        """Return what is kept, None when nothing is, or nothing that can be read: then all is done anew."""
        self._written = self.cluster.get(CONFIGMAPS, self.found.namespace, self.name)
        data = (self._written or {}).get("data") or {}
        if RECORD not in data:
            return None
        try:
            return StoredRecord(from_text(data[RECORD]), data.get(PLAN, ""))
        except RecordUnreadable as error:
            log.warning("pull_job_record_unreadable", **self._named(), error=str(error))
            return None

    def keep(self, kept: StoredRecord) -> None:
        """Write it, unless it stands there already."""
        data = {RECORD: to_text(kept.record), PLAN: kept.plan}
        if self._written and self._written.get("data") == data:
            return
        metadata: Manifest = {
            "name": self.name,
            "namespace": self.found.namespace,
            "labels": LABELS,
            "ownerReferences": [self.found.owner],
        }
        manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        if self._written is None:
            self._written = self.cluster.create(CONFIGMAPS, self.found.namespace, manifest)
            return
        metadata["resourceVersion"] = self._written["metadata"]["resourceVersion"]
        try:
            self._written = self.cluster.update(CONFIGMAPS, self.found.namespace, self.name, manifest)
        except NotFound as error:
            self._written = None
            raise Conflict(f"the record of {self.found.name} was deleted") from error

    def _named(self) -> dict[str, str]:
        return {"job": self.found.name, "namespace": self.found.namespace}
