"""Whether the definitions of the jobs are kip's, and not OpenKruise's: two may not run the same jobs."""

from kip.cluster.api import CRDS, PULL_JOBS, PULL_LIST_JOBS, Cluster
from kip.errors import Forbidden

OURS = "kip.dev/pull-jobs"
"""Label of the definitions that come with kip."""

DEFINITIONS = tuple(f"{resource.plural}.{resource.group}" for resource in (PULL_JOBS, PULL_LIST_JOBS))
OF_OPENKRUISE = f"nodeimages.{PULL_JOBS.group}"
"""What OpenKruise's node daemons go by, and nobody else has."""


def foreign_definition_reason(cluster: Cluster) -> str:
    """Return why no job may be run, "" where nothing speaks against it. Raises ApiError.

    OpenKruise's own mark is looked for too: somebody may have applied kip's definitions over OpenKruise's.
    """
    try:
        if cluster.get(CRDS, "", OF_OPENKRUISE):
            return f"OpenKruise is installed ({OF_OPENKRUISE} exists) and runs them"
        for name in DEFINITIONS:
            found = cluster.get(CRDS, "", name)
            if found is None:
                return f"there is no CustomResourceDefinition {name}"
            if OURS not in (found["metadata"].get("labels") or {}):
                return f"{name} is not kip's (it has no label {OURS}): OpenKruise may run them"
    except Forbidden as error:
        return f"whether OpenKruise is installed cannot be seen: {error}"
    return ""
