"""The parts of the node for tests that need no node."""

import json
import tarfile
from pathlib import Path

import pytest
import yaml
from tradingbot_node import __main__ as command
from tradingbot_node import addons, binaries
from tradingbot_node.host import mounts, prerequisites
from tradingbot_node.host.commands import NodeImpossibleError
from tradingbot_node.host.places import DIRECTORY
from tradingbot_node.images.archive import write_image


def test_an_image_is_the_same_whenever_it_is_written(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    for archive in (tmp_path / "one.tar", tmp_path / "other.tar"):
        write_image(archive, name="localhost/x:1", programs={"program": program})
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "other.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as tar:
        (image,) = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        config = json.load(tar.extractfile(image["Config"]))  # type: ignore[arg-type]
        with tarfile.open(fileobj=tar.extractfile(image["Layers"][0])) as layer:
            (member,) = layer.getmembers()
    assert image["RepoTags"] == ["localhost/x:1"]
    assert (member.name, member.mode, member.mtime) == ("program", 0o755, 0)
    assert config["config"] == {"Entrypoint": ["/program"], "User": "65532:65532"}


def test_the_manifests_of_the_add_ons_name_images_that_are_made(tmp_path: Path) -> None:
    used = set()
    for file in addons.MANIFESTS.glob("*.yaml"):
        for manifest in yaml.safe_load_all(file.read_text()):
            if manifest["kind"] == "Deployment":
                names = addons.DEPLOYMENTS[manifest["metadata"]["namespace"]]
                assert manifest["metadata"]["name"] in names
                containers = manifest["spec"]["template"]["spec"]["containers"]
                used |= {container["image"] for container in containers}
    assert used == {addons.COREDNS, addons.CERT_MANAGER}


def test_volumes_are_made_where_the_pods_will_find_them(tmp_path: Path) -> None:
    _, *volumes = addons.storage(tmp_path)
    assert len({volume["metadata"]["name"] for volume in volumes}) == addons.VOLUMES
    assert all(Path(volume["spec"]["local"]["path"]).is_dir() for volume in volumes)


def test_a_charts_placeholders_are_taken_out_of_definitions() -> None:
    text = "metadata:\n  name: x\n  labels:\n    app: '{{ template \"name\" . }}'\nspec:\n  a: 1\n"
    assert yaml.safe_load(binaries._without_templates(text)) == {
        "metadata": {"name": "x", "labels": None},
        "spec": {"a": 1},
    }


def test_a_place_with_a_space_is_read_as_the_kernel_writes_it() -> None:
    assert mounts._unescaped(r"/a\040b") == "/a b"


def test_nothing_is_mounted_where_there_is_no_node(tmp_path: Path) -> None:
    assert mounts.mounted_below(tmp_path) == []


@pytest.mark.parametrize(("ci", "code", "word"), [("true", 0, "skipped"), ("", 1, "error")])
def test_where_there_can_be_no_node_one_line_says_why(
    ci: str,
    code: int,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def impossible(_: object) -> None:
        raise NodeImpossibleError("a node takes root")

    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(command, "demand_node", impossible)
    assert command.main(["test"]) == code
    assert capsys.readouterr().out == f"{word}: e2e/cluster did not run: a node takes root\n"


def test_without_root_there_is_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites.os, "geteuid", lambda: 1000)
    with pytest.raises(NodeImpossibleError, match="root"):
        prerequisites.demand_node(command.Progress())


def test_the_tests_to_run_are_all_unless_some_are_named() -> None:
    assert command._chosen([])[:3] == ["e2e/cluster", "-n", "3"]
    assert command._chosen(["-k", "bot"]) == ["e2e/cluster", "-k", "bot"]
    named = ["e2e/cluster/test_cluster_bots.py", "-x"]
    assert command._chosen(named) == named


def test_the_nodes_directory_is_in_no_checkout() -> None:
    assert not DIRECTORY.is_relative_to(binaries.NODE.parents[1])


@pytest.mark.parametrize("listed", ["", "/a/file"])
def test_a_list_for_flaky_tests_chooses_what_runs_a_failed_test_again(
    monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    begun: list[list[str]] = []
    monkeypatch.setenv("TRADINGBOT_FLAKY_TESTS", listed)
    monkeypatch.setattr(command.os, "chdir", lambda _: None)
    monkeypatch.setattr(command.os, "execv", lambda _, arguments: begun.append(arguments))
    command._become_pytest(["-x"])
    assert [arguments[1:] for arguments in begun] == [
        ["-m", "flakes" if listed else "pytest", "-x"]
    ]
