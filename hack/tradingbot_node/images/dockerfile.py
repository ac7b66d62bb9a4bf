"""What a Dockerfile needs to build one of its targets, as far as the project's own use it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

SCRATCH = "scratch"
_FROM = re.compile(r"FROM +(?:--\S+ +)*(\S+)(?: +AS +(\S+))?", re.IGNORECASE)
_COPY = re.compile(r"(?:COPY|ADD) +(.+)", re.IGNORECASE)


@dataclass(frozen=True)
class Stage:
    """One stage: its name or number, and the lines from FROM on."""

    name: str
    base: str
    lines: tuple[str, ...]

    @property
    def sources(self) -> frozenset[str]:
        """The names of stages or images that files are copied from."""
        return frozenset(re.findall(r"--from=(\S+)", "\n".join(self.lines)))

    @property
    def copies(self) -> tuple[str, ...]:
        """The paths of the context that are copied."""
        copied = (match[1].split() for line in self.lines if (match := _COPY.match(line)))
        return tuple(
            path
            for words in copied
            if not any(word.startswith("--from=") for word in words)
            for path in [word for word in words if not word.startswith("--")][:-1]
        )


@dataclass(frozen=True)
class Target:
    """One target: the lines before the first stage, and the stages that it needs."""

    arguments: tuple[str, ...]
    stages: tuple[Stage, ...]

    @property
    def text(self) -> str:
        """What decides how the target is built. Other targets have no part in this."""
        return "\n".join((*self.arguments, *(line for one in self.stages for line in one.lines)))

    @property
    def copies(self) -> frozenset[str]:
        """The paths of the context that are copied."""
        return frozenset(path for stage in self.stages for path in stage.copies)

    def bases(self, build_args: Mapping[str, str]) -> list[str]:
        """Return the base images, with build arguments filled in."""
        given = re.findall(r"^ARG +(\w+)=(\S+)", self.text, re.MULTILINE)
        values = dict(given) | dict(build_args)
        filled = [
            re.sub(r"\$\{?(\w+)\}?", lambda match: values.get(match[1], match[0]), stage.base)
            for stage in self.stages
        ]
        known = {SCRATCH, *(stage.name for stage in self.stages)}
        return [name for name in dict.fromkeys(filled) if name not in known]


def target_of(dockerfile: str, name: str | None = None) -> Target:
    """Return a target: the last stage unless named. Raises KeyError if there is none of the name.

    Stages that the target does not need are left out, as by builders.
    """
    arguments, stages = _stages(dockerfile)
    by_name = {stage.name: stage for stage in stages}
    needed: set[str] = set()
    pending = [by_name[name] if name is not None else stages[-1]]
    while pending:
        stage = pending.pop()
        if stage.name not in needed:
            needed.add(stage.name)
            others = {stage.base, *stage.sources} & by_name.keys()
            pending += (by_name[other] for other in others)
    return Target(arguments, tuple(stage for stage in stages if stage.name in needed))


def _stages(dockerfile: str) -> tuple[tuple[str, ...], list[Stage]]:
    """Return the lines before the first stage, and the stages. No line has a comment."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile, flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n\s*", "", text).splitlines() if line.strip()]
    starts = [number for number, line in enumerate(lines) if _FROM.match(line)]
    stages = []
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(lines)], strict=True)):
        match = _FROM.match(lines[start])
        assert match is not None
        stages.append(Stage(match[2] or str(number), match[1], tuple(lines[start:end])))
    return tuple(lines[: starts[0]]), stages
