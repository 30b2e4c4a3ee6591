import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kip.config.images import INIT_CONTAINER, CacheImage, read_images
from kip.config.names import label_fault
from kip.config.references import parse_reference

SHA256 = "0123456789abcdef" * 4


def format_images(images):
    """Return `images` as a list that reads back as the same images."""
    return ";".join(map(str, images))


def kept(text):
    return [str(image) for image in read_images(text).images]


def notes(text):
    return [(note.key, note.refused) for note in read_images(text).notes]


@pytest.mark.parametrize(
    "text",
    [
        "che-theia=quay.io/eclipse/che-theia:next;",
        "a=b:1;c=d:2",
        "java11=quay.io/eclipse/che-java11-maven:nightly;node=host:5000/a/b:1;2048=x@sha256:" + SHA256,
        " a=b:1 ; c=d:2 ; ",
    ],
)
def test_a_valid_upstream_list_keeps_its_names_without_a_word(text):
    expected = [entry.strip() for entry in text.split(";") if entry.strip()]
    assert (kept(text), notes(text)) == (expected, [])


@pytest.mark.parametrize(
    "text",
    [
        "a=b:1,c=d:2",
        "a=b:1\nc=d:2\n",
        "a=b:1\r\nc=d:2\r\n",
        "\ta = b:1;\n\n  c= d:2 ;;",
        "a=b:1 c=d:2",
        "# both\na=b:1; # the first\n#x=y:1\nc=d:2 #the second",
        "- a=b:1\n- c=d:2",
        "- name: a\n  image: b:1\n- name: c\n  image: d:2",
        "# both\n- a: b:1\n- c: d:2",
        '["a=b:1", {"name": "c", "image": "d:2"}]',
        '{"a": "b:1", "c": "d:2"}',
        "{a: 'b:1', c: 'd:2'}",
    ],
)
def test_what_people_really_write_is_read_without_a_word(text):
    assert (kept(text), notes(text)) == (["a=b:1", "c=d:2"], [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quay.io/eclipse/che-theia:next", ["che-theia=quay.io/eclipse/che-theia:next"]),
        ("host:5000/My.app_x:1".lower(), ["my-app-x=host:5000/my.app_x:1"]),
        (f"a/b@sha256:{SHA256}", [f"b=a/b@sha256:{SHA256}"]),
        ("=x:1", ["x=x:1"]),
        ("x/a:1;y/a:2.0", ["a=x/a:1", "a-2-0=y/a:2.0"]),
        ("x/a:1;y/a:1;z/a:1", ["a=x/a:1", "a-1=y/a:1", "a-2=z/a:1"]),
        (f"x/a;y/a@sha256:{SHA256}", ["a=x/a", f"a-01234567=y/a@sha256:{SHA256}"]),
        ("x/a:1;a=y:1", ["a-1=x/a:1", "a=y:1"]),
        ("x/copy-sleep:3", ["copy-sleep-3=x/copy-sleep:3"]),
        ('["a:1", "b:2"]', ["a=a:1", "b=b:2"]),
        ("a:1 b:2", ["a=a:1", "b=b:2"]),
    ],
)
def test_a_missing_name_is_derived_without_a_word(text, expected):
    assert (kept(text), notes(text)) == (expected, [])


@pytest.mark.parametrize(
    ("text", "expected", "noted"),
    [
        ("My_App=x:1", ["my-app=x:1"], ["IMAGES[1]"]),
        ("a-=x:1;-b=y:1", ["a=x:1", "b=y:1"], ["IMAGES[1]", "IMAGES[2]"]),
        ("a" * 70 + "=x:1", ["a" * 63 + "=x:1"], ["IMAGES[1]"]),
        ("---=q/w:1", ["w=q/w:1"], ["IMAGES[1]"]),
        ("copy-sleep=x:1", ["copy-sleep-2=x:1"], ["IMAGES[1]"]),
        ("a=x:1;a=y:1", ["a=x:1", "a-2=y:1"], ["IMAGES[2]"]),
        ("a=x:1;a=y:1;a-2=z:1", ["a=x:1", "a-3=y:1", "a-2=z:1"], ["IMAGES[2]"]),
        ("A=x:1;a=y:1", ["a-2=x:1", "a=y:1"], ["IMAGES[1]"]),
        ("a=x:1;a=x:1", ["a=x:1"], ["IMAGES[2]"]),
        ("a=x;a=docker.io/library/x:latest", ["a=x"], ["IMAGES[2]"]),
        ("a=x:1;x:1", ["a=x:1"], ["IMAGES[2]"]),
        ("a=x:1;b=x:1", ["a=x:1", "b=x:1"], ["IMAGES[2]"]),
        ('"a=x:1;b=y:1"', ["a=x:1", "b=y:1"], ["IMAGES"]),
        ("a='x:1';\"b=y:1\"", ["a=x:1", "b=y:1"], ["IMAGES[1]", "IMAGES[2]"]),
        ("tools", ["tools=tools"], ["IMAGES[1]"]),
        ("a=x:1; # b=y:1; c=z:1", ["a=x:1"], ["IMAGES"]),
        ('[{"nam": "a", "image": "x:1"}]', ["x=x:1"], ["IMAGES[1].nam"]),
        ('["a:1"', [], ["IMAGES", "IMAGES[1]"]),
    ],
)
def test_what_is_mended_is_noted_with_its_place(text, expected, noted):
    found = read_images(text)
    assert [str(image) for image in found.images] == expected
    assert [note.key for note in found.notes] == noted
    assert all(note.remedy for note in found.notes)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("b=", "names no image"),
        ("b=c=d:1", "more than one ="),
        ("b=Foo/Bar:1", "capitals"),
        ("b=https://quay.io/x", "https://"),
        ("b=x:1 y", "space"),
        ("b=x@sha256:12", "digest"),
        ('""', "names no image"),
    ],
)
def test_one_bad_entry_is_refused_by_its_place_and_spares_the_others(bad, message):
    found = read_images(f"a=x:1;{bad};c=y:1")
    [note] = [note for note in found.notes if note.refused]
    assert [image.name for image in found.images] == ["a", "c"]
    assert (note.key, message in note.message) == ("IMAGES[2]", True)


@pytest.mark.parametrize("item", [[1], None, {}, {"name": "a"}, {"name": [], "image": "x"}, {"image": ["x"]}])
def test_an_item_that_is_no_image_is_refused_alone(item):
    found = read_images(json.dumps([item, "x:1"]))
    assert [str(image) for image in found.images] == ["x=x:1"]
    assert [(note.key, note.refused) for note in found.notes] == [("IMAGES[1]", True)]


pieces = st.sampled_from(
    [
        "a",
        "b",
        "My_App",
        "copy-sleep",
        "x" * 70,
        "=",
        ";",
        ",",
        "\n",
        " ",
        "\t",
        "#",
        '"',
        "'",
        "[",
        "]",
        "{",
        "}",
        "- ",
        ": ",
        "quay.io/",
        "a/b",
        ":1",
        ":latest",
        "@sha256:" + SHA256,
        "https://",
        "é",
        "name: ",
        "image: ",
    ]
)
lists = st.text() | st.lists(pieces, max_size=25).map("".join)


@given(lists)
def test_any_text_is_read_into_unique_valid_names_and_images(text):
    images = read_images(text).images
    names = [image.name for image in images]
    assert len(set(names)) == len(names)
    assert INIT_CONTAINER not in names
    assert not [name for name in names if label_fault(name)]
    assert all(parse_reference(image.image) for image in images)


@given(lists)
def test_what_was_read_reads_back_as_the_same(text):
    images = read_images(text).images
    assert read_images(format_images(images)).images == images


names = st.sampled_from(["", "a", "b", "a-2", "A", "-", "copy-sleep", "a b"])
images = st.sampled_from(["x:1", "x:2", "q/x:1", "x", "", "X/y", "x@sha256:" + SHA256, "x:1 y"])


@given(st.lists(st.tuples(names, images), max_size=8))
def test_each_entry_is_kept_or_noted(entries):
    text = ";".join(f"{name}={image}" for name, image in entries)
    found = read_images(text)
    refused = [note for note in found.notes if note.refused]
    repeated = [note for note in found.notes if "is kept once" in note.message]
    assert len(found.images) + len(refused) + len(repeated) == len(entries)
    assert all(re.fullmatch(r"IMAGES\[[0-9]+\]", note.key) for note in found.notes)


@given(st.lists(st.sampled_from(["a", "b", "c", "d-1", "2048"]), unique=True))
def test_the_order_of_the_list_is_kept(order):
    images = tuple(CacheImage(name, f"quay.io/x/{name}:1") for name in order)
    assert read_images(format_images(images)).images == images


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text", ["a" + " " * 200_000 + "b", "A=;" * 20_000, "a=b:1 #" * 20_000, "a:=" * 60_000]
)
def test_a_huge_list_is_read_in_time(text):
    assert read_images(text).notes
