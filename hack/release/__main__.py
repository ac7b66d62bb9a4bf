"""`python -m release COMMAND`: what the Makefile's targets for a release run."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tradingbot_dev.errors import LocalClusterError

from release.changelog import changelog_problems, entry_of
from release.errors import ReleaseError
from release.versions import PROJECT, ROOT, project_version, version_problems


def main(arguments: list[str]) -> int:
    """Run one command and return the exit code."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except (ReleaseError, LocalClusterError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="release", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> None:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        added.add_argument("--into", type=Path, default=ROOT / "dist", help="output directory")
        added.add_argument("--image", default="", help="repository of the image, or its archive")
        added.add_argument("--digest", default="", help="digest of the image, sha256:...")
        added.add_argument("--repository", default="", help="OCI repository of charts, oci://...")
        added.add_argument("--tag", default="", help="tag of the release, such as v1.2.3")

    command("check", _check, "fail if versions differ or CHANGELOG.md has no entry")
    command("notes", _notes, "print the notes of the release, from CHANGELOG.md")
    command("wheel", _wheel, "build the wheel")
    command("chart", _chart, "package the Helm chart")
    command("chart-push", _chart_push, "push the packaged chart to an OCI repository")
    command("install-yaml", _install_yaml, "write config/default as one manifest")
    command("image-push", _image_push, "build the image for all platforms and push it")
    command("sbom", _sbom, "write the SBOM of the image, as CycloneDX and as SPDX")
    command("workflows", _workflows, "lint the workflows")
    return parser


def _check(options: argparse.Namespace) -> int:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    problems = version_problems(ROOT)
    problems += changelog_problems(changelog, project_version(ROOT), tag=options.tag or None)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def _notes(_options: argparse.Namespace) -> int:
    version = project_version(ROOT)
    entry = entry_of((ROOT / "CHANGELOG.md").read_text("utf-8"), version)
    if entry is None:
        raise ReleaseError(f"CHANGELOG.md has no entry for {version}")
    print(entry.text)
    return 0


def _wheel(options: argparse.Namespace) -> int:
    from release.artifacts import build_wheel  # noqa: PLC0415 - the checks need none of it

    print(build_wheel(ROOT, options.into))
    return 0


def _chart(options: argparse.Namespace) -> int:
    from release.artifacts import package_chart  # noqa: PLC0415

    print(package_chart(ROOT, options.into, image=options.image or None))
    return 0


def _chart_push(options: argparse.Namespace) -> int:
    from release.artifacts import push_chart  # noqa: PLC0415

    _demand(options.repository, "REPOSITORY=oci://REGISTRY/PATH")
    package = options.into / f"{PROJECT}-{project_version(ROOT)}.tgz"
    print(push_chart(package, options.repository))
    return 0


def _install_yaml(options: argparse.Namespace) -> int:
    from release.artifacts import install_manifest  # noqa: PLC0415

    text = install_manifest(ROOT, image=options.image or None, digest=options.digest or None)
    options.into.mkdir(parents=True, exist_ok=True)
    path = options.into / "install.yaml"
    path.write_text(text, "utf-8")
    print(path)
    return 0


def _image_push(options: argparse.Namespace) -> int:
    from release.artifacts import push_image  # noqa: PLC0415

    _demand(options.image, "IMAGE=REGISTRY/PATH")
    print(push_image(ROOT, options.image, options.into))
    return 0


def _sbom(options: argparse.Namespace) -> int:
    from release.sbom.write import write_sbom  # noqa: PLC0415
    from release.sources import commit_time  # noqa: PLC0415

    archive = Path(options.image) if options.image else _built_image()
    for path in write_sbom(ROOT, archive, options.into, created=commit_time(ROOT)):
        print(path)
    return 0


def _built_image() -> Path:
    """Build the image as the node's tests do, which takes root; or take it from the cache."""
    from tradingbot_node.images.build import build_image  # noqa: PLC0415

    return build_image(f"{PROJECT}:{project_version(ROOT)}")


def _workflows(_options: argparse.Namespace) -> int:
    from release.workflows import lint_workflows  # noqa: PLC0415

    return lint_workflows(ROOT)


def _demand(value: str, usage: str) -> None:
    if not value:
        raise ReleaseError(f"the destination is missing: {usage}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
