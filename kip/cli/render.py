"""`kip render`."""

import click

from kip.cli.options import output_option, settings_from, settings_options
from kip.cli.output import document
from kip.config.settings import Platform
from kip.core.render.daemonset import render

EXAMPLES = """\b
Examples:
  IMAGES='ide=quay.io/example/ide:1.2.3' kip render
  kip render --env-file kip.env -o json
  kubectl get configmap k8s-image-puller -o yaml | kip render --configmap -
"""


@click.command("render", epilog=EXAMPLES)
@settings_options
@output_option("yaml", "json", default="yaml")
def command(env_file: str | None, configmap: str | None, output: str) -> None:
    """Print the DaemonSet that the settings ask for; no cluster is needed.

    The same settings give the same bytes. PLATFORM=auto is taken as kubernetes, as nothing is asked; the
    owner reference is left out for the same reason.
    """
    settings = settings_from(env_file, configmap)
    platform = Platform.KUBERNETES if settings.platform is Platform.AUTO else settings.platform
    click.echo(document(render(settings, platform=platform), output), nl=False)
