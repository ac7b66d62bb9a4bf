"""The webhook in Go that this project's is measured against, and the load generator."""

from dataclasses import dataclass
from pathlib import Path

from bench.common.peer import build


@dataclass(frozen=True)
class GoPrograms:
    """The webhook in Go, and the load generator."""

    webhook: Path
    load: Path
    go_version: str


def build_go_programs() -> GoPrograms:
    """Build what is not in the cache yet."""
    (webhook, load), version = build(
        ("webhook", "load"), title="the webhook in Go and the load generator, once"
    )
    return GoPrograms(webhook, load, version)
