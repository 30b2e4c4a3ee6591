"""`kip plan`."""

import sys
import time
from datetime import UTC, datetime

import click

from kip.cli.options import cluster_options, output_option, settings_from, settings_options
from kip.cli.output import document
from kip.cluster.client import connect
from kip.config import sources
from kip.core.rollout.plan import Plan
from kip.keeper.reconcile import Reconciler
from kip.keeper.refresher import Refresher, ask_registries
from kip.log import configure

CHANGES_DUE = 3


def _now() -> datetime:
    return datetime.now(UTC)


@click.command("plan")
@settings_options
@cluster_options
@output_option("text", "yaml", "json", default="text")
@click.pass_context
def command(
    ctx: click.Context,
    env_file: str | None,
    configmap: str | None,
    kubeconfig: str,
    context: str,
    output: str,
) -> None:
    """Show what the keeper would do to the cluster now, and why. Nothing is changed.

    The API server validates the cache by a dry run. Exit code 0: nothing to do; 3: changes are due.
    """
    configure(level="warning", stream=sys.stderr)
    settings = settings_from(env_file, configmap)
    cluster = connect(kubeconfig or sources.kubeconfig(), context)
    refresher = Refresher(_now, ask_registries(), start=lambda work: work())
    reconciler = Reconciler(cluster, _now, time.monotonic, refresher, sources.pod_namespace())
    _, plan = reconciler.look(settings)
    click.echo(_text(plan) if output == "text" else document(_document(plan), output), nl=False)
    ctx.exit(CHANGES_DUE if plan.steps or plan.pending else 0)


def _text(plan: Plan) -> str:
    if plan.pending:
        return f"Nothing to do yet: {plan.pending}.\n"
    if not plan.steps:
        return "Nothing to do: the cache is as the settings ask.\n"
    lines = []
    for step in plan.steps:
        lines.append(f"{step.action.value} DaemonSet {step.namespace}/{step.name}, because")
        lines += [f"  - {reason}" for reason in step.reasons]
    return "\n".join(lines) + "\n"


def _document(plan: Plan) -> dict[str, object]:
    return {
        "pending": plan.pending,
        "steps": [
            {
                "action": step.action.value,
                "namespace": step.namespace,
                "name": step.name,
                "reasons": list(step.reasons),
                "manifest": step.manifest,
            }
            for step in plan.steps
        ],
    }
