"""Build images for the node from a Dockerfile with buildah, and cache them as archives.

`ctr images import` and `docker load` accept an archive (the format of `docker save`). It has its
name inside. Its key in the per-user cache is a hash of all inputs, so nothing is built twice.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from tradingbot_dev.progress import Progress, duration
from tradingbot_dev.toolchain.assets import cache_directory, only_builder

from tradingbot_node.images import build_context
from tradingbot_node.images.base_images import base_image
from tradingbot_node.images.buildah import buildah, image_id
from tradingbot_node.images.dockerfile import target_of
from tradingbot_node.images.package_index import index_secrets

ROOT = Path(__file__).parents[3]


def build_image(
    tag: str,
    *,
    context: Path = ROOT,
    dockerfile: Path | None = None,
    target: str | None = None,
    build_args: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Return the archive of the image `tag` (`name:version`), after building it if missing.

    `dockerfile` is `context / "Dockerfile"` unless given, and `target` its last stage. `FROM
    scratch` needs nothing; any other base comes from `base_images`. The key of the cache covers the
    stages of the target, and the files that they copy from the context.

    Raises ToolMissingError if root, buildah or debootstrap are missing, and BuildError.
    """
    file, shown = dockerfile or context / "Dockerfile", progress or Progress()
    needed, arguments = target_of(file.read_text(), target), dict(build_args or {})
    bases = [base_image(name, progress=shown) for name in needed.bases(arguments)]
    cache = image_cache()
    copied = build_context.digest(context, only=needed.copies)
    decisive = [tag, target or "", needed.text, json.dumps(arguments, sort_keys=True), copied]
    decisive += [image_id(base) for base in bases]
    key = hashlib.sha256("\0".join(decisive).encode()).hexdigest()[:16]
    archive = cache / f"{re.sub(r'[^A-Za-z0-9._-]', '-', tag)}-{key}.tar"
    if archive.exists():
        return archive
    with only_builder(cache, shown):
        if not archive.exists():  # another process may have built it while this one waited
            build_archive(
                archive,
                tag,
                context=context,
                dockerfile=file,
                target=target,
                build_args=arguments,
                bases=bases,
                progress=shown,
            )
    return archive


def build_archive(
    archive: Path,
    tag: str,
    *,
    context: Path,
    dockerfile: Path,
    target: str | None,
    build_args: Mapping[str, str],
    bases: list[Path],
    progress: Progress,
) -> None:
    """Build without the cache, in a storage that has these base images and no others."""
    began = time.monotonic()
    progress.step(f"building the image {tag}")
    with (
        buildah(archive.parent, log=archive.with_suffix(".log")) as tool,
        index_secrets() as secrets,
    ):
        for base in bases:
            tool.pull(base)
        tool.build(
            tag,
            context=context,
            dockerfile=dockerfile,
            target=target,
            build_args=build_args,
            secrets=secrets,
            timestamp=0,
        )
        tool.save(tag, archive)
    spent = duration(time.monotonic() - began)
    progress.step(f"built {tag} in {spent}: {archive.stat().st_size / 1e6:.0f} MB, in {archive}")


def image_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the cache directory of images, beside that of the binaries."""
    return cache_directory(environment).with_name("images")
