"""A keeper on the real cluster, scraped: a bad image is seen as failed, and its cure too."""

from urllib.request import urlopen

from images import fresh_image, ill_image
from prometheus_client.parser import text_string_to_metric_families
from realcluster import CONFIGMAP, KIP_RULES, UPSTREAM_RULES, eventually, kubectl, nodes, write_list

WITHIN_SECONDS = 90
"""Pulling comes first, and the kubelets may be busy with other tests."""


class Scraped:
    """The metrics of a keeper that listens on `port`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/metrics"

    def __call__(self, name: str, /, **labels: str) -> float | None:
        """Return the value of the one sample with these labels, None while there is none."""
        try:
            with urlopen(self.url, timeout=5) as answer:  # noqa: S310 - plain http to ourselves
                text = answer.read().decode()
        except OSError:
            return None
        samples = [
            sample
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(sample.value for sample in samples) if samples else None


def test_a_bad_image_is_seen_failed_and_then_cured(namespace, deployment, keeper, port):
    good, bad, cure = fresh_image(), ill_image("unknown tag"), fresh_image()
    write_list(namespace, {"good": good, "bad": bad})
    count, scraped = len(nodes()), Scraped(port)
    address = f"127.0.0.1:{port}"
    with keeper(KIP_RULES, CONFIGMAP_NAME=CONFIGMAP, DEPLOYMENT_NAME=deployment, HTTP_ADDRESS=address):
        eventually(
            lambda: (
                (
                    scraped("kip_cells", image=good, state="cached"),
                    scraped("kip_cells", image=bad, state="failed"),
                )
                == (count, count)
            ),
            "the good image cached and the bad one failed",
            seconds=WITHIN_SECONDS,
        )
        assert (scraped("kip_cache_complete"), scraped("kip_nodes_wanted")) == (0, count)
        assert scraped("kip_cache_complete_seconds_count") == 0
        write_list(namespace, {"good": good, "bad": cure})
        eventually(lambda: scraped("kip_cache_complete"), "the cure", seconds=WITHIN_SECONDS)
        eventually(lambda: scraped("kip_cells", name="bad", state="cached") == count, "its cells", seconds=15)
        assert scraped("kip_cells", image=bad) is None
        assert (scraped("kip_nodes_complete"), scraped("kip_cache_complete_seconds_count")) == (count, 1)
        assert scraped("kip_rolls_total") >= 1
        assert (scraped("kip_settings_valid"), scraped("kip_leader")) == (1, 1)
        assert scraped("kip_api_requests_total", verb="GET", code="200") > 0


def test_drift_and_bad_settings_are_counted(namespace, deployment, keeper, port):
    write_list(namespace, {"good": fresh_image()})
    scraped, address = Scraped(port), f"127.0.0.1:{port}"
    with keeper(KIP_RULES, CONFIGMAP_NAME=CONFIGMAP, DEPLOYMENT_NAME=deployment, HTTP_ADDRESS=address):
        eventually(lambda: scraped("kip_cache_complete"), "a complete cache", seconds=WITHIN_SECONDS)
        kubectl("-n", namespace, "delete", "daemonset", "kubernetes-image-puller")
        eventually(lambda: scraped("kip_drift_repairs_total"), "a repair", seconds=30)
        kubectl(
            "-n", namespace, "patch", "configmap", CONFIGMAP, "-p", '{"data": {"CACHING_CPU_LIMIT": "much"}}'
        )
        eventually(lambda: scraped("kip_settings_valid") == 0, "the refusal", seconds=15)


def test_with_upstreams_rights_nodes_are_counted_and_cells_are_not(namespace, deployment, keeper, port):
    scraped, address = Scraped(port), f"127.0.0.1:{port}"
    with keeper(UPSTREAM_RULES, IMAGES=fresh_image(), DEPLOYMENT_NAME=deployment, HTTP_ADDRESS=address):
        eventually(lambda: scraped("kip_cache_complete"), "a complete cache", seconds=WITHIN_SECONDS)
        assert (scraped("kip_nodes_complete"), scraped("kip_cells")) == (len(nodes()), None)
