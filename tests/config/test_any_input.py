import json

from hypothesis import given
from hypothesis import strategies as st

from kip.config.settings import read_settings
from kip.config.table import SETTINGS
from kip.errors import SettingsError

LEAST = {"IMAGES": "a=x:1"}
KEYS = sorted(setting.key for setting in SETTINGS)

pieces = st.sampled_from(
    [
        *list("{}[]:,;=\"'-%.#&*\n\t 019aA\\é\x00�"),
        "true",
        "null",
        "nodeAffinity",
        "podAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "labelSelector",
        "nodeSelectorTerms",
        "matchExpressions",
        "matchLabels",
        "operator",
        "Exists",
        "key",
        "value",
        "tolerationSeconds",
        "weight",
        "effect",
        "NoExecute",
        "name",
        "image",
        "a=b:1",
        "20Mi",
        "1h30m",
        "1e999",
        "map[",
        "- ",
        ": ",
        "<<",
        "!!int",
    ]
)
texts = st.text() | st.lists(pieces, max_size=20).map("".join)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["a", "Exists", "NoExecute", "B c"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "key",
                    "operator",
                    "Operator",
                    "effect",
                    "nodeAffinity",
                    "podAffinity",
                    "weight",
                    "matchLabels",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(KEYS), texts))
def test_no_text_makes_reading_fail_otherwise_than_by_its_own_error(values):
    check_reading(values)


@given(
    st.dictionaries(
        st.sampled_from(["AFFINITY", "TOLERATIONS", "NODE_SELECTOR", "IMAGES", "IMAGE_PULL_SECRETS"]),
        json_values,
    )
)
def test_no_structure_makes_reading_fail_otherwise_than_by_its_own_error(values):
    check_reading({key: json.dumps(value) for key, value in values.items()})


def check_reading(values):
    try:
        reading = read_settings({**LEAST, **values})
    except SettingsError as caught:
        said = caught.problems
    else:
        said = reading.notes
        assert reading.settings.images
        json.dumps([reading.settings.affinity, reading.settings.tolerations]).encode()
    assert all(each.key and each.message and each.remedy for each in said)
    assert "\n".join(map(str, said)).encode() or not said
