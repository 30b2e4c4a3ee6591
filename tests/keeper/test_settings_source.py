"""The settings in force while the keeper runs."""

import pytest
from fakes import FakeCluster, configmap
from structlog.testing import capture_logs

from kip.errors import Forbidden, Unreachable
from kip.keeper.settings_source import SettingsSource

GOOD = {"IMAGES": "a=registry.example/a:1.0.0"}
BETTER = {"IMAGES": "b=registry.example/b:1.0.0"}
BAD = {"IMAGES": "=;=", "CACHING_MEMORY_LIMIT": "20 MB"}


def live(cluster: FakeCluster | None = None, **environment: str) -> SettingsSource:
    return SettingsSource(cluster or FakeCluster(), environment, "images")


def watching(**data: str) -> tuple[SettingsSource, FakeCluster]:
    cluster = FakeCluster(configmap(**data))
    return live(cluster, CONFIGMAP_NAME="settings"), cluster


def edit(cluster: FakeCluster, **data: str) -> None:
    cluster.objects["ConfigMap", "images", "settings"] = configmap(**data)


def names(settings) -> list[str]:
    return [entry.name for entry in settings.images]


def test_without_a_configmap_the_environment_counts():
    assert names(live(**GOOD).refresh()) == ["a"]


def test_the_configmaps_keys_win():
    cluster = FakeCluster(configmap(**BETTER))
    assert names(live(cluster, CONFIGMAP_NAME="settings", **GOOD).refresh()) == ["b"]


def test_a_configmap_that_does_not_exist_says_nothing():
    assert names(live(CONFIGMAP_NAME="missing", **GOOD).refresh()) == ["a"]


def test_an_edit_counts_from_the_next_look():
    settings, cluster = watching(**GOOD)
    settings.refresh()
    edit(cluster, **BETTER)
    assert names(settings.refresh()) == ["b"]


def test_a_bad_edit_leaves_the_last_good_settings_in_force():
    settings, cluster = watching(**GOOD)
    settings.refresh()
    edit(cluster, **BAD)
    assert names(settings.refresh()) == ["a"]


def test_a_bad_edit_is_told_with_every_problem():
    settings, cluster = watching(**GOOD)
    settings.refresh()
    edit(cluster, **BAD)
    settings.refresh()
    keys = {problem.key.partition("[")[0] for problem in settings.error.problems}
    assert keys == {"IMAGES", "CACHING_MEMORY_LIMIT"}


def test_a_corrected_edit_heals():
    settings, cluster = watching(**BAD)
    settings.refresh()
    edit(cluster, **BETTER)
    assert (names(settings.refresh()), settings.error) == (["b"], None)


def test_with_nothing_valid_at_start_there_are_no_settings():
    assert live(**BAD).refresh() is None


def test_the_same_bad_settings_are_told_once():
    settings = live(**BAD)
    with capture_logs() as logs:
        settings.refresh()
        settings.refresh()
    assert [line["event"] for line in logs] == ["settings_refused"]


def test_a_mended_entry_is_told_with_its_position():
    with capture_logs() as logs:
        live(IMAGES="My_App=registry.example/a:1.0.0").refresh()
    assert [line["key"] for line in logs if line["event"] == "setting_corrected"] == ["IMAGES[1]"]


def test_a_key_that_is_nearly_a_setting_is_told():
    settings, _ = watching(NODE_SELECTER="a=b", **GOOD)
    with capture_logs() as logs:
        settings.refresh()
    assert "NODE_SELECTOR" in next(line["remedy"] for line in logs if line["event"] == "entry_refused")


def forbidden() -> tuple[SettingsSource, FakeCluster]:
    cluster = FakeCluster(configmap(**BETTER))
    cluster.failures["get configmaps"] = [Forbidden("no")]
    return live(cluster, CONFIGMAP_NAME="settings", **GOOD), cluster


def test_without_the_right_to_read_it_the_environment_counts():
    settings, _ = forbidden()
    assert names(settings.refresh()) == ["a"]


def test_a_missing_right_is_told_once_and_not_tried_again():
    settings, cluster = forbidden()
    with capture_logs() as logs:
        settings.refresh()
        settings.refresh()
    told = [line["event"] for line in logs if line["event"] == "configmap_not_watched"]
    assert (len(told), cluster.calls) == (1, ["get configmaps"])


def test_a_right_that_came_counts_from_the_next_interval():
    settings, _ = forbidden()
    settings.refresh()
    settings.look_again()
    assert names(settings.refresh()) == ["b"]


def test_a_right_that_is_missing_for_a_moment_leaves_the_settings_as_they_are():
    cluster = FakeCluster(configmap(**BETTER))
    settings = live(cluster, CONFIGMAP_NAME="settings", **GOOD)
    settings.refresh()
    cluster.failures["get configmaps"] = [Forbidden("not yet")]
    during = names(settings.refresh())
    edit(cluster, IMAGES="c=registry.example/c:1.0.0")
    assert (during, names(settings.refresh())) == (["b"], ["c"])


def test_a_configmap_that_cannot_be_asked_for_is_an_error():
    cluster = FakeCluster()
    cluster.failures["get configmaps"] = [Unreachable("gone")]
    with pytest.raises(Unreachable):
        live(cluster, CONFIGMAP_NAME="settings", **GOOD).refresh()


def test_entries_that_are_left_out_are_known_until_they_are_corrected():
    settings, cluster = watching(IMAGES="a=registry.example/a:1.0.0;b=not an image")
    settings.refresh()
    before = settings.refused
    edit(cluster, **GOOD)
    settings.refresh()
    assert (len(before), settings.refused) == (1, ())


def test_a_configmap_that_is_gone_keeps_its_last_data_in_force():
    cluster = FakeCluster(configmap(**BETTER))
    settings = live(cluster, CONFIGMAP_NAME="settings", **GOOD)
    settings.refresh()
    del cluster.objects["ConfigMap", "images", "settings"]
    with capture_logs() as logs:
        during = [names(settings.refresh()) for _ in range(2)]
    told = [line["event"] for line in logs]
    assert (during, told, "Create it again" in str(settings.error)) == (
        [["b"], ["b"]],
        ["configmap_gone"],
        True,
    )


@pytest.mark.parametrize(("data", "expected"), [(GOOD, ["a"]), (BETTER, ["b"])])
def test_a_configmap_that_is_back_counts_again(data, expected):
    settings, cluster = watching(**BETTER)
    settings.refresh()
    del cluster.objects["ConfigMap", "images", "settings"]
    settings.refresh()
    edit(cluster, **data)
    assert (names(settings.refresh()), settings.error) == (expected, None)


def test_bad_settings_are_told_again_when_their_configmap_is_back():
    settings, cluster = watching(**GOOD)
    settings.refresh()
    edit(cluster, **BAD)
    settings.refresh()
    del cluster.objects["ConfigMap", "images", "settings"]
    settings.refresh()
    edit(cluster, **BAD)
    assert (names(settings.refresh()), "CACHING_MEMORY_LIMIT" in str(settings.error)) == (["a"], True)
