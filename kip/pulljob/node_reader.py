"""The nodes of a job, read from the cluster with the rights that there are."""

from kip.cluster.api import NODES, PODS, Cluster, Selection
from kip.errors import Forbidden
from kip.pulljob.spec import PullJob
from kip.pulljob.targets import NodeView, Targets, nodes_of, read_node, select

FEW_NAMES = 20
"""So many nodes are asked for one by one; of more, all nodes of the cluster are listed."""


def read_nodes(cluster: Cluster, job: PullJob) -> Targets:
    """Return the nodes that the job means now.

    Without the right to nodes those that are named, or have the pods of the podSelector, are taken to be
    there and well. Raises Forbidden where the nodes have to be listed and may not.
    """
    holders: frozenset[str] = frozenset()
    if job.pod_labels is not None:
        pods = cluster.pages(Selection(PODS, job.namespace, labels=job.pod_labels.text))
        holders = frozenset().union(*(nodes_of(page.items) for page in pods))
    try:
        return select(job, _nodes(cluster, job), holders)
    except Forbidden as error:
        if job.node_names or job.pod_labels is not None:
            return select(job, None, holders)
        raise Forbidden(
            f"the nodes of the job may not be listed: {error}",
            hint="Name them (--nodes, spec.selector.names), or grant the right: kip pull --print-rbac.",
            status=error.status,
        ) from error


def _nodes(cluster: Cluster, job: PullJob) -> list[NodeView]:
    if 0 < len(job.node_names) <= FEW_NAMES:
        found = (cluster.get(NODES, "", name) for name in job.node_names)
        return [read_node(node) for node in found if node]
    pages = cluster.pages(Selection(NODES, ""))
    return [read_node(node) for page in pages for node in page.items]
