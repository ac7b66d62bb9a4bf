"""The SBOM: every file has a listed component, both formats are valid, disagreement is an error."""

import io
import json
import re
import tarfile
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from release.errors import ReleaseError
from release.sbom.bill import Bill, bill_of
from release.sbom.contents import Contents, read_contents
from release.sbom.cyclonedx_json import cyclonedx_json
from release.sbom.requirements import Pin, read_pins
from release.sbom.spdx_json import spdx_json
from release.sbom.write import unpacked
from release.versions import project_version
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

ROOT = Path(__file__).parents[2]
VERSION = project_version(ROOT)
CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
REQUIREMENTS = (ROOT / "requirements.txt").read_text("utf-8")
SITE = "opt/tradingbot/lib/python3.13/site-packages"
STATUS = """\
Package: libfoo1
Status: install ok installed
Maintainer: Debian Foo Team <foo@example.org>
Architecture: amd64
Version: 1:2.3-4+deb13u1
Description: foo
 in two lines
"""
IMAGE = {
    "opt/tradingbot/pyvenv.cfg": "home = /usr/local/bin\nversion = 3.13.7\n",
    "opt/tradingbot/bin/tradingbot": "",
    f"{SITE}/tradingbot_api/__init__.py": "",
    f"{SITE}/tradingbot_api/__pycache__/__init__.cpython-313.pyc": "",
    f"{SITE}/tradingbot_operator-{VERSION}.dist-info/METADATA": f"Name: tradingbot-operator\n"
    f"Version: {VERSION}\nLicense-Expression: Apache-2.0\n",
    f"{SITE}/tradingbot_operator-{VERSION}.dist-info/RECORD": "../../../bin/tradingbot,,\n"
    f"tradingbot_api/__init__.py,,\ntradingbot_operator-{VERSION}.dist-info/METADATA,,\n"
    f"tradingbot_operator-{VERSION}.dist-info/RECORD,,\ntradingbot_api/ui/package.json,,\n",
    f"{SITE}/tradingbot_api/ui/package.json": '{"name": "@x/ui", "version": "5", "license": "MIT"}',
    f"{SITE}/my_lib/__init__.py": "",
    f"{SITE}/my_lib/generated/models/one.pyc": "",
    f"{SITE}/my_lib-1.0.dist-info/METADATA": "Name: My_Lib\nVersion: 1.0\nLicense: BSD License\n",
    f"{SITE}/my_lib-1.0.dist-info/RECORD": "my_lib/__init__.py,,\n"
    '"my_lib-1.0.dist-info/METADATA",,\nmy_lib-1.0.dist-info/RECORD,,\n',
    "usr/local/bin/python3.13": "",
    "usr/local/lib/python3.13/json/__init__.py": "",
    "usr/lib/os-release": 'NAME="Debian GNU/Linux"\nVERSION_ID="13"\n',
    "usr/lib/libfoo.so.1": "",
    "var/lib/dpkg/status.d/libfoo1": STATUS,
    "var/lib/dpkg/status.d/libfoo1.md5sums": "d41d8cd98f00b204e9800998ecf8427e  lib/libfoo.so.1\n",
}
UNLISTED = frozenset({"pip", "tradingbot-strategies"})
PINS = {
    "my-lib": Pin("my-lib", "1.0", ("ab" * 32, "cd" * 32), ("tradingbot-operator",), None),
    "for-windows": Pin("for-windows", "2", ("ef" * 32,), (), "sys_platform == 'win32'"),
}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An unpacked image of three packages."""
    for name, text in IMAGE.items():
        path = tmp_path / "image" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "image"


def bill(contents: Contents, pins: dict[str, Pin] = PINS) -> Bill:
    return bill_of(contents, pins, version=VERSION, created=CREATED, licence="Apache-2.0")


@cache
def installed() -> Bill:
    """The bill of the environment that runs the tests, made of the requirements that it has.

    pip, which venv brings along, is in no lock file, and the strategies have an image of their own.
    """
    contents = read_contents(ROOT / ".venv")
    pinned = tuple(one for one in contents.distributions if one.name not in UNLISTED)
    pins = read_pins((ROOT / "requirements-dev.txt").read_text("utf-8"))
    return bill(replace(contents, distributions=pinned), pins)


def unlisted(contents: Contents, names: set[str]) -> list[str]:
    return [file for file in contents.files() if contents.owner(file) not in names]


def test_the_lock_file_gives_versions_hashes_and_who_requires_what() -> None:
    pins = read_pins(REQUIREMENTS)
    assert len(pins) == sum(1 for line in REQUIREMENTS.splitlines() if "==" in line.split(" ")[0])
    assert sum(len(pin.sha256) for pin in pins.values()) == REQUIREMENTS.count("--hash=sha256:")
    assert pins["aiosignal"].required_by == ("aiohttp",)
    assert set(pins["aiohttp"].required_by) > {"tradingbot-operator", "kopf"}
    assert all(set(pin.required_by) <= {*pins, "tradingbot-operator"} for pin in pins.values())
    assert pins["cffi"].applies({"platform_python_implementation": "CPython"})
    assert not pins["cffi"].applies({"platform_python_implementation": "PyPy"})


def test_every_file_of_a_python_package_has_a_listed_component() -> None:
    """On a real environment; on the image itself in e2e/cluster/test_cluster_product_image.py."""
    contents = read_contents(ROOT / ".venv")
    listed = {one.name for one in installed().components}
    files = [file for file in contents.python_files() if contents.owner(file) not in listed]
    # Nothing but the files of what is not listed is found to have no component.
    site = contents.site.relative_to(contents.root).as_posix()
    beginnings = (
        "pip/",
        "pip-",
        "tradingbot_strategies-",
        "__editable__",
        "__pycache__/__editable__",
    )
    unlisted_files = tuple(f"{site}/{one}" for one in beginnings)
    # pytest keeps its own compilation of plugins beside the interpreter's.
    by_pytest = re.compile(r"\.cpython-\d+-pytest-[\d.]+\.pyc$")
    assert files
    assert not [
        file for file in files if not file.startswith(unlisted_files) and not by_pytest.search(file)
    ]


def test_every_file_of_an_image_has_a_listed_component(image: Path) -> None:
    contents = read_contents(image)
    listed = {one.name for one in bill(contents).components}
    assert listed == {"python", "tradingbot-operator", "my-lib", "libfoo1", "@x/ui"}
    metadata = ("var/lib/dpkg/status.d/libfoo1", "var/lib/dpkg/status.d/libfoo1.md5sums")
    assert set(unlisted(contents, listed)) == {*metadata, "usr/lib/os-release"}
    owners = {file: contents.owner(file) for file in contents.files()}
    assert owners[f"{SITE}/my_lib/generated/models/one.pyc"] == "my-lib"
    assert owners["opt/tradingbot/bin/tradingbot"] == "tradingbot-operator"
    assert owners["usr/lib/libfoo.so.1"] == "libfoo1"
    assert owners["usr/local/lib/python3.13/json/__init__.py"] == "python"


@pytest.mark.parametrize(
    "file",
    [
        f"{SITE}/stray.py",
        f"{SITE}/__pycache__/stray.cpython-313.pyc",
        f"{SITE}/my_lib/stray.so",
        f"{SITE}/stray/module.py",
        "usr/lib/stray.so",
        "usr/bin/stray",
    ],
)
def test_a_file_of_no_package_is_found(image: Path, file: str) -> None:
    (image / file).parent.mkdir(parents=True, exist_ok=True)
    (image / file).touch()
    assert read_contents(image).owner(file) is None


@pytest.mark.parametrize(
    ("pins", "message"),
    [
        ({}, "my-lib: 1.0 in the image, absent pinned"),
        ({"my-lib": replace(PINS["my-lib"], version="1.1")}, "my-lib: 1.0 in the image, 1.1"),
        (PINS | {"x": Pin("x", "3", (), (), None)}, "x: absent in the image, 3 pinned"),
    ],
)
def test_an_image_of_other_requirements_is_an_error(
    image: Path, pins: dict[str, Pin], message: str
) -> None:
    with pytest.raises(ReleaseError, match=message):
        bill(read_contents(image), pins)


def test_cyclonedx_is_valid_and_has_every_component(image: Path) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for one in (bill(read_contents(image)), installed()):
        text = cyclonedx_json(one)
        assert validator.validate_str(text) is None
        assert text == cyclonedx_json(one)
        document = json.loads(text)
        purls = {component["purl"] for component in document["components"]}
        assert purls == {component.reference for component in one.components}
        assert document["metadata"]["timestamp"].startswith("2026-01-02T03:04:05")
        assert document["metadata"]["component"]["version"] == VERSION
    assert validator.validate_str('{"bomFormat": "CycloneDX", "specVersion": "1.6", "a": 1}')


def test_spdx_is_valid_and_has_every_component(image: Path, tmp_path: Path) -> None:
    for one in (bill(read_contents(image)), installed()):
        text = spdx_json(one)
        assert text == spdx_json(one)
        path = tmp_path / "sbom.spdx.json"
        path.write_text(text, "utf-8")
        document = parse_file(str(path))
        assert validate_full_spdx_document(document) == []
        purls = {
            reference.locator
            for package in document.packages
            for reference in package.external_references
        }
        assert purls == {component.reference for component in one.components}
        document.packages[0].spdx_id = "no identifier"
        assert validate_full_spdx_document(document)


def test_a_component_has_its_origin_hashes_licence_and_requirements(image: Path) -> None:
    document = json.loads(cyclonedx_json(bill(read_contents(image))))
    components: dict[str, dict[str, Any]] = {one["name"]: one for one in document["components"]}
    assert components["libfoo1"]["purl"] == (
        "pkg:deb/debian/libfoo1@1:2.3-4%2Bdeb13u1?arch=amd64&distro=debian-13"
    )
    assert components["libfoo1"]["supplier"]["name"] == "Debian Foo Team <foo@example.org>"
    assert {one["content"] for one in components["my-lib"]["hashes"]} == {"ab" * 32, "cd" * 32}
    assert "licenses" not in components["my-lib"]  # "BSD License" is not an SPDX expression
    assert components["tradingbot-operator"]["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert components["python"]["version"] == "3.13.7"
    requires = {one["ref"]: set(one.get("dependsOn", ())) for one in document["dependencies"]}
    assert requires["image"] == {one["purl"] for one in components.values()}
    assert requires[f"pkg:pypi/tradingbot-operator@{VERSION}"] == {
        "pkg:pypi/my-lib@1.0",
        "pkg:npm/%40x/ui@5",
        "pkg:generic/python@3.13.7",
    }
    assert components["@x/ui"]["licenses"] == [{"license": {"id": "MIT"}}]


def test_an_archive_is_unpacked_layer_by_layer_without_links(image: Path, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    layers = {"first.tar": ["usr", "var"], "second.tar": ["opt"]}
    with tarfile.open(archive, "w") as tar:
        for name, directories in layers.items():
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w:gz") as layer:
                for folder in directories:
                    layer.add(image / folder, folder)
                link = tarfile.TarInfo(f"{directories[0]}/link")
                link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
                layer.addfile(link)
            _add(tar, name, buffer.getvalue())
        _add(tar, "manifest.json", json.dumps([{"Layers": list(layers)}]).encode())
    with unpacked(archive) as root:
        assert bill(read_contents(root)) == bill(read_contents(image))
        assert sorted(read_contents(root).files()) == sorted(IMAGE)


def test_what_is_not_an_image_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="is not there"), unpacked(tmp_path / "none.tar"):
        pass
    (tmp_path / "text").write_text("text")
    with pytest.raises(ReleaseError, match="is not an image archive"), unpacked(tmp_path / "text"):
        pass
    with pytest.raises(ReleaseError, match="0 directories of Python packages"):
        read_contents(tmp_path)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
