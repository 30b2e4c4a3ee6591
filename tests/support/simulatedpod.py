"""A pod of a simulated cluster: what it was made from, how far it is, and how the API server shows it."""

from dataclasses import dataclass, field
from typing import Any

RUNNING, FAILING = "running", "failing"


@dataclass(eq=False)
class Pod:
    """One pod: what it was made from, and how far its kubelet is with it."""

    name: str
    owner: str
    node: str
    template: dict
    revision: str
    generation: str
    born: int
    bound: bool = False
    started: bool = False
    copied: bool = False
    """Its init container has run."""
    unheard: bool = False
    """Its node is known to be away: nobody changes its containers in the API, but it is not Ready."""
    going: bool = False
    failed: bool = False
    """Its kubelet has refused or evicted it."""
    containers: dict[str, str] = field(default_factory=dict)
    """Name of a container -> running or failing; one that is not here has not been begun."""

    @property
    def specs(self) -> list[dict]:
        return self.template["spec"]["containers"]

    @property
    def asks(self) -> bool:
        """Whether it requests resources."""
        return any(item["resources"]["requests"]["memory"] != "0" for item in self.specs)

    @property
    def ready(self) -> bool:
        return (
            not self.unheard
            and not self.failed
            and all(self.containers.get(item["name"]) == RUNNING for item in self.specs)
        )

    @property
    def pins(self) -> set[str]:
        running = {name for name, state in self.containers.items() if state == RUNNING}
        return (
            set()
            if self.going or self.failed
            else {item["image"] for item in self.specs if item["name"] in running}
        )

    def manifest(self) -> dict:
        labels = {**self.template["metadata"]["labels"], "pod-template-generation": self.generation}
        owners = [{"uid": self.owner, "controller": True}] if self.owner else []
        states: dict[str, Any] = {RUNNING: {"running": {}}, FAILING: {"waiting": {"reason": "ErrImagePull"}}}
        starting: dict[str, Any] = {"waiting": {"reason": "PodInitializing"}}
        statuses = [
            {
                "name": item["name"],
                "state": states.get(self.containers.get(item["name"], ""), starting),
                "ready": self.containers.get(item["name"]) == RUNNING,
            }
            for item in self.specs
        ]
        conditions = [
            {"type": "PodScheduled", "status": str(self.bound), "message": "1 Insufficient memory"},
            {"type": "Ready", "status": str(self.ready)},
        ]
        field_ = {"key": "metadata.name", "operator": "In", "values": [self.node]}
        required = {"nodeSelectorTerms": [{"matchFields": [field_]}]}
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
        metadata: dict[str, Any] = {
            "name": self.name,
            "uid": self.name,
            "creationTimestamp": f"2026-11-21T08:{self.born // 60:02}:{self.born % 60:02}Z",
            "labels": labels,
            "annotations": self.template["metadata"].get("annotations", {}),
            "ownerReferences": owners,
        }
        if self.going:
            metadata["deletionTimestamp"] = "2026-11-21T08:00:00Z"
        status: dict[str, Any] = {"conditions": conditions, "phase": "Failed" if self.failed else "Running"}
        if self.started and not self.failed:
            status |= {"startTime": "2026-11-21T08:00:00Z", "containerStatuses": statuses}
        return {
            "metadata": metadata,
            "spec": {"containers": self.specs, "affinity": affinity},
            "status": status,
        }
