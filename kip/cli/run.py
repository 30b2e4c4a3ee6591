"""`kip run`."""

import click

from kip.cluster.client import connect
from kip.config import sources
from kip.config.bootstrap import process_settings
from kip.keeper import run as keeper
from kip.log import configure
from kip.observe.metrics import Metrics


@click.command("run")
def command() -> None:
    """Keep the images: the long-running process of the Deployment.

    Reads its settings from the environment, and from the ConfigMap named by CONFIGMAP_NAME while it runs.
    Ends within seconds on SIGTERM and leaves the cache; scaling the Deployment to 0 takes the cache along.

    Exit code 0: ended by a signal; 1: an error, such as no way to a cluster. Settings that cannot be used are
    no end: they are told in the log and at /readyz, and waited out.
    """
    environment = sources.from_environment()
    process = process_settings(environment)
    configure(process.log_format, process.log_level)
    metrics = Metrics()
    cluster = connect(sources.kubeconfig(), answered=metrics.api_answered)
    keeper.run(
        cluster,
        environment,
        pod_namespace=sources.pod_namespace(),
        http_address=process.http_address,
        metrics=metrics,
    )
