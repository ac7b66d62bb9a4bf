"""Wheel, manifest, chart and image of a release."""

import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from release import artifacts
from release.errors import ReleaseError
from release.sources import tracked_copy
from release.versions import project_version

ROOT = Path(__file__).parents[2]
VERSION = project_version(ROOT)
IMAGE = "registry.example/trading/tradingbot-operator"
FILES = ("Chart.yaml", "values.yaml")
DIGEST = f"sha256:{'0123456789abcdef' * 4}"


def test_two_wheels_of_a_commit_are_the_same_and_have_the_product_alone(tmp_path: Path) -> None:
    first = artifacts.build_wheel(ROOT, tmp_path / "first")
    second = artifacts.build_wheel(ROOT, tmp_path / "second")
    assert first.name == f"tradingbot_operator-{VERSION}-py3-none-any.whl"
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as wheel:
        names = wheel.namelist()
    assert "tradingbot_cli/main.py" in names
    assert "tradingbot_cli/doctor/installation.json" in names
    assert {name.split("/")[0] for name in names} == {
        *("tradingbot_api", "tradingbot_webhooks", "tradingbot_operator", "tradingbot_registry"),
        *("tradingbot_certs", "tradingbot_cli", "tradingbot_exchange", "tradingbot_gateway"),
        *("tradingbot_kubeconfig", "tradingbot_process"),
        f"tradingbot_operator-{VERSION}.dist-info",
    }
    assert not [name for name in names if "/tests/" in name]


def test_what_git_does_not_track_is_not_built(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a.py").write_text("a")
    (tmp_path / "gone.py").write_text("gone")
    git("add", ".")
    (tmp_path / "gone.py").unlink()
    (tmp_path / "left-over.py").write_text("b")
    with tracked_copy(tmp_path) as copy:
        found = {str(path.relative_to(copy)) for path in copy.rglob("*") if path.is_file()}
    assert found == {"kept/a.py"}


def test_outside_of_git_the_error_says_so(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="not a git repository"), tracked_copy(tmp_path):
        pass


@pytest.mark.parametrize(
    ("digest", "reference"), [(DIGEST, f"{IMAGE}@{DIGEST}"), (None, f"{IMAGE}:{VERSION}")]
)
def test_the_manifest_installs_the_released_image(digest: str | None, reference: str) -> None:
    text = artifacts.install_manifest(ROOT, image=IMAGE, digest=digest)
    assert text.startswith(f"# tradingbot-operator {VERSION}, ")
    objects = list(yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    deployments = [one for one in objects if one["kind"] == "Deployment"]
    assert {one["metadata"]["name"] for one in deployments} == {
        *("tradingbot-operator", "tradingbot-registry", "tradingbot-webhooks")
    }
    for one in deployments:
        assert one["metadata"]["labels"]["app.kubernetes.io/version"] == VERSION
        for container in one["spec"]["template"]["spec"]["containers"]:
            assert container["image"] == reference
    assert {"CustomResourceDefinition", "Certificate", "Namespace"} <= {
        one["kind"] for one in objects
    }


def test_the_packaged_chart_takes_the_released_image() -> None:
    values = (ROOT / artifacts.CHART / "values.yaml").read_text("utf-8")
    released = artifacts.with_repository(values, IMAGE)
    before, after = yaml.safe_load(values), yaml.safe_load(released)
    assert after["image"].pop("repository") == IMAGE
    assert before["image"].pop("repository") == "tradingbot-operator"
    assert after == before
    assert released.count("#") == values.count("#")
    with pytest.raises(ReleaseError, match=r"values\.yaml has no line"):
        artifacts.with_repository("image:\n  repository: other\n", IMAGE)


def test_a_packaged_chart_has_the_version_and_the_image(tmp_path: Path) -> None:
    package = artifacts.package_chart(ROOT, tmp_path, image=IMAGE)
    assert package.name == f"tradingbot-operator-{VERSION}.tgz"
    with tarfile.open(package) as tar:
        read = {name: tar.extractfile(f"tradingbot-operator/{name}") for name in FILES}
        contents = {name: yaml.safe_load(file.read()) for name, file in read.items() if file}
    assert contents["Chart.yaml"]["version"] == contents["Chart.yaml"]["appVersion"] == VERSION
    assert contents["values.yaml"]["image"]["repository"] == IMAGE


def test_the_digest_of_a_pushed_chart_is_what_helm_prints() -> None:
    printed = f"Pushed: registry.example/charts/tradingbot-operator:{VERSION}\nDigest: {DIGEST}\n"
    assert artifacts.pushed_digest(printed) == DIGEST
    with pytest.raises(ReleaseError, match="no digest"):
        artifacts.pushed_digest("Pushed: nothing\n")


def test_the_image_is_built_for_two_platforms_with_the_labels_of_its_commit(
    tmp_path: Path,
) -> None:
    command = artifacts.image_command(ROOT, IMAGE, metadata=tmp_path / "image.json")
    assert "--platform=linux/amd64,linux/arm64" in command
    assert f"--tag={IMAGE}:{VERSION}" in command
    arguments = dict(re.findall(r"--build-arg=(\w+)=(\S+)", " ".join(command)))
    assert arguments["VERSION"] == VERSION
    assert re.fullmatch(r"[0-9a-f]{40}", arguments["REVISION"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", arguments["CREATED"])
    taken = set(re.findall(r"^ARG (\w+)=", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE))
    assert arguments.keys() <= taken


def test_the_digest_of_a_pushed_image_is_in_the_metadata() -> None:
    assert artifacts.image_digest(f'{{"containerimage.digest": "{DIGEST}"}}') == DIGEST
    with pytest.raises(ReleaseError, match="no digest"):
        artifacts.image_digest("{}")
