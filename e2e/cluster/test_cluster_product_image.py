"""The product's image: what it does, that it is the same each time, and what its papers say."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from release.sbom.contents import read_contents
from release.sbom.write import image_bill
from release.sbom.write import unpacked as unpacked_without_root
from tradingbot_cli.main import COMMANDS
from tradingbot_dev.progress import Progress
from tradingbot_node.images.base_images import PYTHON, base_image
from tradingbot_node.images.build import ROOT, build_archive
from tradingbot_node.images.buildah import image_id
from tradingbot_node.images.own import PRODUCT
from unpacked_image import GENERATED, Image, Unpacked

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def image(unpacked: Unpacked) -> Image:
    return unpacked("tradingbot-operator")


def test_the_same_sources_give_the_same_image(image: Image, tmp_path: Path) -> None:
    again = tmp_path / "again.tar"
    build_archive(
        again,
        PRODUCT,
        context=ROOT,
        dockerfile=ROOT / "Dockerfile",
        target=None,
        build_args={},
        bases=[base_image(PYTHON)],
        progress=Progress(),
    )
    assert image_id(again) == image_id(image.archive)
    assert again.read_bytes() == image.archive.read_bytes()


@pytest.mark.parametrize("mode", COMMANDS)
def test_every_mode_runs_with_a_root_that_cannot_be_written(image: Image, mode: str) -> None:
    done = image.entrypoint(mode, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert mode in done.stdout


def test_it_checks_manifests(image: Image) -> None:
    def validated(sample: str) -> tuple[int, str]:
        text = (ROOT / "config/samples" / sample).read_text()
        done = image.entrypoint("validate", "-f", "-", stdin=text)
        return done.returncode, done.stdout + done.stderr

    for sample in ("tradingbot.yaml", "tradingbot-full.yaml", "assetregistry.yaml"):
        code, said = validated(sample)
        assert code == 0, said
    code, said = validated("invalid.yaml")
    assert code == 1
    assert "stopLossPercentage" in said


def test_a_copy_of_the_registrys_database_comes_out_of_it(image: Image) -> None:
    """With no shell and no cat, as docs/image.md shows it, also what SQLite has in its log yet."""
    page = (ROOT / "docs/image.md").read_text()
    (documented,) = re.findall(r"tradingbot registry backup .*", page)
    command = documented.replace("/var/lib/tradingbot/", "/tmp/").removesuffix("\\").split()
    printed = image.python(
        "import sqlite3, subprocess\n"
        "open('/tmp/registry.db', 'ab').close()\n"
        "migrate = ['tradingbot', 'registry', 'migrate', '--database-url=sqlite:////tmp/registry.db']\n"
        "subprocess.run(migrate, stdout=subprocess.DEVNULL, check=True)\n"
        "writer = sqlite3.connect('/tmp/registry.db')\n"
        "when = '2026-01-01T00:00:00.000000Z'\n"
        "writer.execute('INSERT INTO asset (id, name, type, status, effective_status,'\n"
        "    ' description, search, config, managed_by, version, created_at, updated_at)'\n"
        "    ' VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',\n"
        "    ('0' * 32, 'binance', 'Other', 'Draft', 'Draft', '', 'binance\\x1f', '{}',\n"
        "    'user', 1, when, when))\n"
        "writer.commit()\n"
        f"command = {command!r}\n"
        "copy = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout\n"
        "open('/tmp/copy.db', 'wb').write(copy)\n"
        "print(sqlite3.connect('/tmp/copy.db').execute('SELECT name FROM asset').fetchall())\n"
    )
    assert printed == "[('binance',)]\n"


def test_every_file_belongs_to_a_component_of_the_sbom(image: Image) -> None:
    bill = image_bill(ROOT, image.root, created=datetime(2026, 1, 1, tzinfo=UTC))
    listed = {component.name for component in bill.components}
    contents = read_contents(image.root)
    assert len(list(contents.python_files())) > 1000
    unlisted = [
        file
        for file in contents.files()
        if contents.owner(file) not in listed
        and file not in GENERATED
        and not file.startswith(("var/lib/dpkg/status.d/", "usr/share/doc/"))
        and file != "etc/os-release"
    ]
    assert unlisted == []


def test_the_sbom_of_the_archive_is_that_of_the_image(image: Image) -> None:
    """`make sbom` unpacks the archive without root and without links."""
    created = datetime(2026, 1, 1, tzinfo=UTC)
    bill = image_bill(ROOT, image.root, created=created)
    with unpacked_without_root(image.archive) as root:
        assert image_bill(ROOT, root, created=created) == bill
    assert {"python", "libc6", "tradingbot-operator", "cryptography"} <= {
        component.name for component in bill.components
    }


def test_the_documentation_lists_every_package(image: Image) -> None:
    page = (ROOT / "docs/image.md").read_text()
    listed = set(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE))
    python = {re.sub(r"[-_.]+", "-", name.split("-")[0]).lower() for name in image.distributions()}
    assert listed == image.debian_packages() | python | {"python"}
