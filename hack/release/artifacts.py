"""Wheel, chart, install.yaml and image of a release."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from tradingbot_dev.toolchain.helm import find_helm

from release.errors import ReleaseError
from release.sources import commit, commit_time, output, tracked_copy
from release.versions import PROJECT, project_version

PLATFORMS = ("linux/amd64", "linux/arm64")
CHART = Path("charts") / PROJECT
INSTALLED = Path("config") / "default"


def build_wheel(root: Path, into: Path) -> Path:
    """Build the wheel. The same commit gives the same bytes."""
    with tracked_copy(root) as sources, TemporaryDirectory() as fresh:
        epoch = str(int(commit_time(root).timestamp()))
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", fresh]
        output(
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel"),
            *options,
            str(sources),
            environment={**os.environ, "SOURCE_DATE_EPOCH": epoch},
        )
        (wheel,) = Path(fresh).glob("*.whl")
        return _moved(wheel, into)


def package_chart(root: Path, into: Path, *, image: str | None = None) -> Path:
    """Package the Helm chart; `image` becomes the default of `image.repository`."""
    with TemporaryDirectory() as directory:
        chart = Path(directory) / PROJECT
        shutil.copytree(root / CHART, chart)
        if image is not None:
            values = chart / "values.yaml"
            values.write_text(with_repository(values.read_text("utf-8"), image), "utf-8")
        output(str(find_helm()), "package", str(chart), "--destination", directory)
        (package,) = Path(directory).glob("*.tgz")
        return _moved(package, into)


def push_chart(package: Path, repository: str) -> str:
    """Push a packaged chart to `oci://...` and return its digest, `sha256:...`.

    Helm takes the credentials of `docker login` or `helm registry login`.
    """
    printed = output(str(find_helm()), "push", str(package), repository)
    return pushed_digest(printed)


def pushed_digest(printed: str) -> str:
    """Return the digest in what `helm push` prints."""
    found = re.search(r"^Digest: (sha256:[0-9a-f]{64})$", printed, re.MULTILINE)
    if found is None:
        raise ReleaseError(f"helm push printed no digest: {printed.strip()}")
    return found[1]


def with_repository(values: str, image: str) -> str:
    """Return the chart's values with this repository of the image, and the comments kept."""
    changed, count = re.subn(
        rf"^(  repository: ){PROJECT}$", rf"\g<1>{image}", values, flags=re.MULTILINE
    )
    if count != 1:
        raise ReleaseError(f"values.yaml has no line `repository: {PROJECT}`")
    return changed


def install_manifest(root: Path, *, image: str | None = None, digest: str | None = None) -> str:
    """Return config/default as one manifest, with the image of the release."""
    version = project_version(root)
    with TemporaryDirectory() as directory:
        overlay = Path(directory).resolve()
        content = overlay_of(
            os.path.relpath((root / INSTALLED).resolve(), overlay),
            version=version,
            image=image,
            digest=digest,
        )
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump(content), "utf-8")
        kubectl = Path(sys.executable).with_name("kubectl")
        manifest = output(str(kubectl), "kustomize", str(overlay))
    return (
        f"# {PROJECT} {version}, for a cluster with cert-manager.\n"
        f"# kubectl apply --server-side -f install.yaml\n{manifest}"
    )


def overlay_of(
    base: str, *, version: str, image: str | None, digest: str | None
) -> dict[str, object]:
    """Return the kustomization that puts the image of a release into `base`."""
    pinned = {"digest": digest} if digest else {"newTag": version}
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [base],
        "images": [{"name": PROJECT, "newName": image or PROJECT, **pinned}],
    }


def image_command(
    root: Path, image: str, *, metadata: Path, platforms: Sequence[str] = PLATFORMS
) -> list[str]:
    """Return the command that builds the image for all platforms and pushes it.

    The labels come from the commit, so that the same commit gives the same image on the same base.
    """
    labels = {
        "VERSION": project_version(root),
        "REVISION": commit(root),
        "CREATED": commit_time(root).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return [
        *("docker", "buildx", "build", f"--platform={','.join(platforms)}"),
        *(f"--build-arg={name}={text}" for name, text in labels.items()),
        # Signed attestations are made by the workflow; buildx's own would be part of the digest.
        *("--provenance=false", "--sbom=false"),
        f"--tag={image}:{labels['VERSION']}",
        "--output=type=image,push=true,rewrite-timestamp=true",
        f"--metadata-file={metadata}",
        str(root),
    ]


def push_image(root: Path, image: str, into: Path) -> str:
    """Build and push the image, and return the digest of its index, `sha256:...`."""
    into.mkdir(parents=True, exist_ok=True)
    metadata = into / "image.json"
    done = subprocess.run(
        image_command(root, image, metadata=metadata),
        env={**os.environ, "SOURCE_DATE_EPOCH": "0"},
        stdout=sys.stderr,  # standard output has the digest alone
        check=False,
    )
    if done.returncode != 0:
        raise ReleaseError("docker buildx failed, as said above")
    return image_digest(metadata.read_text("utf-8"))


def image_digest(metadata: str) -> str:
    """Return the digest in the metadata file of `docker buildx build`."""
    digest = json.loads(metadata).get("containerimage.digest")
    if not isinstance(digest, str):
        raise ReleaseError("docker buildx named no digest: it needs to push the image")
    return digest


def _moved(path: Path, into: Path) -> Path:
    into.mkdir(parents=True, exist_ok=True)
    return Path(shutil.move(path, into / path.name))
