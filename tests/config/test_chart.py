"""The chart's values, read into settings."""

import pytest

from kip.config.chart import UPSTREAM_VALUES, VALUES, merge_values, settings_of
from kip.config.settings import read_settings
from kip.config.sources import KEYS, from_values_files
from kip.errors import UsageError


def test_every_value_becomes_a_setting_and_no_two_the_same():
    assert (set(VALUES.values()) <= set(KEYS), len(set(VALUES.values()))) == (True, len(VALUES))


def test_upstreams_values_keep_their_names():
    assert UPSTREAM_VALUES.items() <= VALUES.items()


def test_native_yaml_and_text_mean_the_same():
    native = {"configMap": {"nodeSelector": {"disk": "ssd"}, "images": ["a/b:1.0.0"], "cachingCpuLimit": 0.2}}
    text = {"configMap": {"nodeSelector": '{"disk": "ssd"}', "images": "a/b:1.0.0", "cachingCpuLimit": ".2"}}
    read = [read_settings(settings_of(values)[0]).settings for values in (native, text)]
    assert (read[0].node_selector, read[0].images) == (read[1].node_selector, read[1].images)


def test_images_may_have_names_in_native_yaml():
    values = {"configMap": {"images": [{"name": "ide", "image": "a/b:1.0.0"}]}}
    (image,) = read_settings(settings_of(values)[0]).settings.images
    assert str(image) == "ide=a/b:1.0.0"


def test_the_cache_is_called_as_the_deployment():
    assert settings_of({"deploymentName": "mine"})[0]["DAEMONSET_NAME"] == "mine"


def test_the_keepers_image_serves_the_sleeper():
    assert settings_of({"image": {"repository": "r/kip", "tag": "1"}})[0]["KIP_IMAGE"] == "r/kip:1"


def test_a_misspelt_value_is_told():
    (note,) = settings_of({"configMap": {"nodeSelectr": "{}"}})[1]
    assert note.remedy == "Did you mean configMap.nodeSelector?"


def test_a_later_file_wins_and_leaves_the_rest():
    assert merge_values({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}) == {"a": {"b": 3, "c": 2}}


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "just words"])
def test_what_is_no_values_file_is_said_so(tmp_path, text):
    path = tmp_path / "values.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"not YAML|no mapping"):
        from_values_files([path])
