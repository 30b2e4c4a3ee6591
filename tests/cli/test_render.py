"""`kip render`."""

import io
import json
import subprocess
import sys

import pytest
import yaml

IMAGES = "a=registry.example/a:1.0.0"
CONFIGMAP = (
    "kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\ndata:\n  IMAGES: b=registry.example/b:1.0.0\n"
)


def names(manifest: dict) -> list[str]:
    return [item["name"] for item in manifest["spec"]["template"]["spec"]["containers"]]


def test_the_settings_come_from_the_environment(kip):
    _, out, _ = kip("render", IMAGES=IMAGES)
    assert names(yaml.safe_load(out)) == ["a"]


def test_json_is_the_same_manifest(kip):
    _, text, _ = kip("render", "-o", "json", IMAGES=IMAGES)
    _, manifest, _ = kip("render", IMAGES=IMAGES)
    assert json.loads(text) == yaml.safe_load(manifest)


def test_the_same_settings_give_the_same_bytes(kip):
    assert kip("render", IMAGES=IMAGES) == kip("render", IMAGES=IMAGES)


def test_the_settings_may_come_from_an_env_file(kip, tmp_path):
    (tmp_path / "kip.env").write_text(f"IMAGES={IMAGES}\n", "utf-8")
    _, out, _ = kip("render", "--env-file", str(tmp_path / "kip.env"))
    assert names(yaml.safe_load(out)) == ["a"]


def test_the_settings_may_come_from_a_configmap(kip, tmp_path):
    (tmp_path / "configmap.yaml").write_text(CONFIGMAP, "utf-8")
    _, out, _ = kip("render", "--configmap", str(tmp_path / "configmap.yaml"), IMAGES=IMAGES)
    assert names(yaml.safe_load(out)) == ["b"]


def test_a_configmap_may_come_from_standard_input(kip, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(CONFIGMAP))
    _, out, _ = kip("render", "--configmap", "-")
    assert names(yaml.safe_load(out)) == ["b"]


@pytest.mark.parametrize(
    ("arguments", "environment", "told"),
    [
        pytest.param((), {}, "IMAGES", id="nothing is set"),
        pytest.param((), {"IMAGES": IMAGES, "MAX_SURGE": "0"}, "MAX_SURGE", id="a bad value"),
        pytest.param(("--env-file", "a", "--configmap", "b"), {}, "--configmap", id="two sources"),
        pytest.param(("--env-file", "missing"), {}, "missing", id="a file that is not there"),
        pytest.param(("-o", "xml"), {"IMAGES": IMAGES}, "xml", id="a form that is none"),
    ],
)
def test_wrong_use_is_exit_code_2_and_names_the_fault(kip, arguments, environment, told):
    code, out, err = kip("render", *arguments, **environment)
    assert (code, out, told in err) == (2, "", True)


def test_all_problems_are_told_together(kip):
    _, _, err = kip("render", IMAGES=IMAGES, MAX_SURGE="0", CACHING_MEMORY_LIMIT="20 MB", NODE_SELECTOR="[1]")
    assert all(key in err for key in ("MAX_SURGE", "CACHING_MEMORY_LIMIT", "NODE_SELECTOR"))


def test_what_was_mended_is_told_beside_the_manifest(kip):
    code, out, err = kip("render", IMAGES="My_App=registry.example/a:1.0.0")
    assert (code, names(yaml.safe_load(out)), "IMAGES[1]" in err) == (0, ["my-app"], True)


def test_no_kubernetes_client_is_loaded():
    script = (
        "import sys, kip.cli.main as m\n"
        "try: m.main(['render'])\n"
        "except SystemExit: pass\n"
        "heavy = {'kubernetes', 'structlog', 'rich', 'waitress'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"IMAGES": IMAGES}
    )
    assert ended.stderr.strip() == "[]"


def test_a_reader_that_goes_away_is_not_complained_about():
    script = f"{sys.executable} -m kip render | head -c 10"
    images = "\n".join(f"registry.example/a{number}:1.0.0" for number in range(500))
    ended = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"IMAGES": images, "PATH": "/usr/bin:/bin"},
    )
    assert ended.stderr == ""
