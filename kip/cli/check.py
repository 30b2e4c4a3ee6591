"""`kip check`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import click

from kip.cli.options import cluster_options, output_option, settings_options, values_from
from kip.cli.output import document
from kip.cluster.check_facts import no_facts, read_facts
from kip.cluster.client import connect
from kip.cluster.reads import read_configmap
from kip.config import sources
from kip.config.bootstrap import cache_ref
from kip.config.notes import Note
from kip.config.settings import Reading, read_settings
from kip.core.check.findings import Finding, Severity, is_fine, to_document
from kip.core.check.run_checks import Facts, check, without_settings
from kip.errors import KipError, SettingsError, UsageError

Look = Callable[[str, str, tuple[str, ...], tuple[str, ...]], Facts]
"""Reads the facts for a namespace, the name of a DaemonSet, pull secrets, and namespaces of pull jobs."""

NOT_FINE = 3
WIDTH = len("not checked")
MARKS = {
    Severity.OK: ("ok", "green"),
    Severity.WARNING: ("WARNING", "yellow"),
    Severity.PROBLEM: ("PROBLEM", "red"),
    Severity.SKIPPED: ("not checked", "cyan"),
}
EXAMPLES = """\b
Examples:
  kip check --values my-values.yaml -n k8s-image-puller
  kubectl get configmap k8s-image-puller -o yaml | kip check --configmap -
  kubectl -n k8s-image-puller exec deployment/kubernetes-image-puller -- kip check
"""


@dataclass(frozen=True, slots=True)
class _Given:
    """Settings as they were written, and what is to be said about that."""

    values: Mapping[str, str]
    notes: tuple[Note, ...]
    live: bool


@click.command("check", epilog=EXAMPLES)
@settings_options
@click.option(
    "--values", "values_files", multiple=True, metavar="FILE", help="Read a values file of the Helm chart."
)
@click.option("-n", "--namespace", default="", help="Default: NAMESPACE, else the pod's own.")
@click.option("--strict", is_flag=True, help="A warning is not fine either.")
@cluster_options
@output_option("text", "yaml", "json", default="text")
@click.pass_context
def command(
    ctx: click.Context,
    env_file: str | None,
    configmap: str | None,
    values_files: tuple[str, ...],
    namespace: str,
    strict: bool,
    kubeconfig: str,
    context: str,
    output: str,
) -> None:
    """Say whether settings, rights and cluster go together, and how to mend what does not.

    Nothing is changed. What these credentials may not read is told as not checked; nodes need a right on the
    whole cluster, which people often have and the keeper has not. The rights that are checked are those of
    these credentials: run it in the pod to check the keeper's.

    Exit code 0: fine; 3: something is not, and each PROBLEM says what to do.
    """
    given = _given(env_file, configmap, values_files)
    if namespace:
        given = replace(given, values={**given.values, "NAMESPACE": namespace})
    findings = _findings(given, kubeconfig or sources.kubeconfig(), context)
    if output == "text":
        _print(findings)
    else:
        click.echo(document(to_document(findings, strict=strict), output), nl=False)
    ctx.exit(0 if is_fine(findings, strict=strict) else NOT_FINE)


def _given(env_file: str | None, configmap: str | None, values_files: tuple[str, ...]) -> _Given:
    if sum(map(bool, (env_file, configmap, values_files))) > 1:
        raise UsageError("--env-file, --configmap and --values exclude each other", hint="Give one of them.")
    if values_files:
        return _Given(*sources.from_values_files(values_files), live=False)
    return _Given(*values_from(env_file, configmap), live=not (env_file or configmap))


def _findings(given: _Given, kubeconfig: str, context: str) -> tuple[Finding, ...]:
    pod_namespace = sources.pod_namespace()
    try:
        cluster = connect(kubeconfig, context)
    except KipError as error:
        reason = str(error)
        return _checked(given, pod_namespace, lambda *place: no_facts(reason, place[2]))
    more: tuple[Finding, ...] = ()
    name = given.values.get("CONFIGMAP_NAME", "").strip()
    if given.live and name:
        try:
            namespace = pod_namespace or cache_ref(given.values).namespace
            live = read_configmap(cluster, namespace, name) or {}
            given = replace(
                given, values=sources.merge(given.values, live), notes=given.notes + sources.near_misses(live)
            )
        except KipError as error:
            more = (Finding("settings", Severity.SKIPPED, str(error), subject=f"configmaps/{name}"),)
    return more + _checked(given, pod_namespace, lambda *place: read_facts(cluster, *place))


def _checked(given: _Given, pod_namespace: str, look: Look) -> tuple[Finding, ...]:
    try:
        reading = read_settings(given.values, pod_namespace=pod_namespace)
    except SettingsError as error:
        return without_settings(error.problems, given.notes)
    settings = reading.settings
    facts = look(
        settings.namespace,
        settings.daemonset_name,
        settings.image_pull_secrets,
        settings.pull_job_namespaces,
    )
    return check(Reading(settings, (*given.notes, *reading.notes)), facts)


def _print(findings: tuple[Finding, ...]) -> None:
    for finding in findings:
        word, colour = MARKS[finding.state]
        subject = f" {finding.subject}:" if finding.subject else ""
        because = "because " if finding.state is Severity.SKIPPED else ""
        mark = click.style(f"{word:<{WIDTH}}", fg=colour)
        click.echo(f"{mark}  {finding.check}:{subject} {because}{finding.message}")
        if finding.remedy:
            click.echo(f"{'':<{WIDTH}}    {finding.remedy}")
    counts = to_document(findings)["counts"]
    click.echo(
        f"{counts['problem']} problems, {counts['warning']} warnings, {counts['ok']} fine, "
        f"{counts['skipped']} not checked."
    )
