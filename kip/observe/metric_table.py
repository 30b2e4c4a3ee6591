"""Every metric of the keeper: its name, labels and meaning. docs/metrics.md is made from this table.

No label ever has the name of a node, or anything else that grows with the cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

SHORT = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds of a reconcile: a handful of requests, or a list of thousands of pods."""

LONG = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0)
"""Seconds until nodes have their images."""


class Kind(StrEnum):
    """How Prometheus reads it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Description:
    """One metric; `labels` tells for each label which values it takes."""

    name: str
    kind: Kind
    meaning: str
    labels: Mapping[str, str] = field(default_factory=dict)
    buckets: tuple[float, ...] = SHORT

    @property
    def series(self) -> tuple[str, ...]:
        """Return the names under which it is exported."""
        if self.kind is Kind.HISTOGRAM:
            return f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count"
        return (self.name,)


CELLS = Description(
    "kip_cells",
    Kind.GAUGE,
    "Nodes on which an image is in that state. Needs the right to list pods.",
    {
        "name": "the entry of the list",
        "image": "its reference",
        "state": "cached, pulling, waiting, failed, absent",
    },
)
NODES_WANTED = Description("kip_nodes_wanted", Kind.GAUGE, "Nodes that the cache is to be on.")
NODES_COMPLETE = Description(
    "kip_nodes_complete",
    Kind.GAUGE,
    "Nodes whose cache pod is of the newest settings and has every image: so many at least.",
)
COMPLETE = Description(
    "kip_cache_complete", Kind.GAUGE, "1 when all wanted nodes are complete and nothing is left to be done."
)
COMPLETE_SECONDS = Description(
    "kip_cache_complete_seconds",
    Kind.HISTOGRAM,
    "Seconds from the first change of a complete cache until it was complete again.",
    buckets=LONG,
)
ROLLS = Description("kip_rolls_total", Kind.COUNTER, "Changes of the cache that exchanged its pods.")
CHANGES = Description(
    "kip_changes_total",
    Kind.COUNTER,
    "Changes of DaemonSets, by what was done.",
    {"action": "create, apply, replace; spread and retire (a net); release; sweep (refused pods)"},
)
PULL_SECONDS = Description(
    "kip_pull_seconds",
    Kind.HISTOGRAM,
    "Time that a node took to pull an image, told by kubelets in Events. Needs the right to watch them.",
    {"name": "the entry of the list"},
    LONG,
)
PULLED_BYTES = Description(
    "kip_pulled_bytes_total",
    Kind.COUNTER,
    "Size of the images that were pulled, on all nodes together; layers that were there already count too.",
    {"name": "the entry of the list"},
)
DRIFT_REPAIRS = Description(
    "kip_drift_repairs_total",
    Kind.COUNTER,
    "Times that the cache was put right after somebody else changed it.",
)
REFRESHES = Description(
    "kip_refreshes_total",
    Kind.COUNTER,
    "Due refreshes, by what the registries told about the moving tags.",
    {
        "outcome": (
            "moved (the nodes look again), unmoved (nothing is done), unknown (a registry does not tell, or "
            "REFRESH is always: the nodes look again), postponed (no registry answered)"
        )
    },
)
RECONCILE_SECONDS = Description(
    "kip_reconcile_seconds",
    Kind.HISTOGRAM,
    "Duration of a reconcile, by its outcome.",
    {"outcome": "changed, unchanged, failed"},
)
LAST_SUCCESS = Description(
    "kip_last_success_timestamp_seconds",
    Kind.GAUGE,
    "When the last reconcile went well; before the first, when the keeper started.",
)
INTERVAL = Description(
    "kip_interval_seconds", Kind.GAUGE, "Longest pause between two reconciles, CACHING_INTERVAL_HOURS."
)
LEADER = Description(
    "kip_leader",
    Kind.GAUGE,
    "1 when this keeper acts, 0 while it stands by for the one that holds the lease.",
)
API_REQUESTS = Description(
    "kip_api_requests_total",
    Kind.COUNTER,
    "Requests to the API server.",
    {
        "verb": "GET, POST, PUT, PATCH, DELETE, WATCH",
        "code": "the HTTP status; none where no answer came",
    },
)
WATCH_RESTARTS = Description(
    "kip_watch_restarts_total",
    Kind.COUNTER,
    "Watches that broke off and were begun anew.",
    {"resource": "configmaps, daemonsets, events"},
)
SETTINGS_VALID = Description(
    "kip_settings_valid",
    Kind.GAUGE,
    "1 when the newest settings are in force, 0 when they cannot be used, or are refused by the API server.",
)
ENTRIES_REFUSED = Description(
    "kip_entries_refused",
    Kind.GAUGE,
    "Entries of the settings that are left out, as they cannot be used.",
    {"by": "keeper (it cannot be read), api_server (a policy, or a reference that it refuses)"},
)
PULL_JOBS = Description(
    "kip_pull_jobs",
    Kind.GAUGE,
    "Pull jobs that there are in the namespaces of PULL_JOB_NAMESPACES.",
    {
        "phase": (
            "running, paused, complete, failed, refused (its spec cannot be run), blocked (a right is "
            "missing)"
        )
    },
)
PULL_JOB_NODES = Description(
    "kip_pull_job_nodes_pulling",
    Kind.GAUGE,
    "Nodes that pull for pull jobs now; twice if it is for two jobs.",
)
PULL_BUDGET = Description(
    "kip_pull_budget", Kind.GAUGE, "How many may, PULL_BUDGET; 0 while no job can be run."
)
PULL_JOB_PULLS = Description(
    "kip_pull_job_pulls_total",
    Kind.COUNTER,
    "Images on nodes that pull jobs have come to an end with.",
    {"outcome": "pulled, failed"},
)
PULL_JOB_SECONDS = Description(
    "kip_pull_job_seconds",
    Kind.HISTOGRAM,
    "Duration of pull jobs, by how they ended.",
    {"outcome": "complete (every image is on every node), failed"},
    LONG,
)
BUILD_INFO = Description("kip_build_info", Kind.GAUGE, "Always 1.", {"version": "of kip"})

TABLE = (
    CELLS,
    NODES_WANTED,
    NODES_COMPLETE,
    COMPLETE,
    COMPLETE_SECONDS,
    ROLLS,
    CHANGES,
    DRIFT_REPAIRS,
    PULL_SECONDS,
    PULLED_BYTES,
    REFRESHES,
    RECONCILE_SECONDS,
    LAST_SUCCESS,
    INTERVAL,
    LEADER,
    API_REQUESTS,
    WATCH_RESTARTS,
    SETTINGS_VALID,
    ENTRIES_REFUSED,
    PULL_JOBS,
    PULL_JOB_NODES,
    PULL_BUDGET,
    PULL_JOB_PULLS,
    PULL_JOB_SECONDS,
    BUILD_INFO,
)
