"""What the tests of several parts share: a real control plane, and a user without rights."""

import fcntl
import gc
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings
from tradingbot_dev.control_plane.plane import ControlPlane, temporary_control_plane
from xdist.scheduler import LoadScopeScheduling

# How long an example takes says more of the machine than of the code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

SHARED = {
    "control plane": (
        *("api/tests/test_asset_registry_size.py", "api/tests/test_layers_on_api_server.py"),
        *("api/tests/test_pod.py", "certs/tests/test_cert_cluster.py"),
        *("config/tests/test_webhooks_unreachable.py", "registry/tests/test_registry_tokens.py"),
        *("cli/tests/test_assets_cluster.py",),
        *("operator/tests/test_operator_guarded_fields.py",),
        *("operator/tests/test_operator_pod_on_api_server.py",),
        *("operator/tests/test_operator_watches.py",),
    ),
    "system 1": (
        *("e2e/test_e2e_admission.py", "e2e/test_e2e_admission_corpus.py"),
        *("e2e/test_e2e_admission_numbers.py", "e2e/test_e2e_admission_ways.py"),
        *("e2e/test_e2e_asset_registry.py",),
        *("e2e/test_e2e_bot.py", "e2e/test_e2e_credentials.py", "e2e/test_e2e_kustomize.py"),
        *("e2e/test_e2e_leader.py", "e2e/test_e2e_orphans.py", "e2e/test_e2e_restores.py"),
        *("e2e/test_e2e_refused_children.py",),
        *("e2e/test_e2e_risk.py", "e2e/test_e2e_storm.py", "e2e/test_e2e_waiting_pods.py"),
    ),
    "system 2": (
        *("e2e/test_e2e_bad_answers.py", "e2e/test_e2e_crashes.py"),
        *("e2e/test_e2e_drifted_children.py", "e2e/test_e2e_faults.py"),
        *("e2e/test_e2e_hostile_bots.py", "e2e/test_e2e_hostile_objects.py"),
        *("e2e/test_e2e_pod_options.py",),
        *("e2e/test_e2e_restarts.py", "e2e/test_e2e_stops.py"),
    ),
}
"""Files whose tests use a fixture of the session that starts a control plane, which costs 8 seconds
of CPU time. One worker runs all files of an entry, so that they share it. The two entries with a
system take about the same time."""
NODE_FILES_IN_ORDER = (
    "e2e/cluster/test_cluster_admission.py",
    # These need no node, and the image that they build and examine is that of the node's pods.
    *("e2e/cluster/test_cluster_control_groups.py", "e2e/cluster/test_cluster_product_image.py"),
    # Those that take longest.
    *("e2e/cluster/test_cluster_demo.py", "e2e/cluster/test_cluster_stops.py"),
    *("e2e/cluster/test_cluster_bots.py", "e2e/cluster/test_cluster_freqtrade.py"),
)
"""Files with which the tests on the node begin, in this order."""
DISTURBING = tuple(
    f"e2e/cluster/test_cluster_{name}.py"
    for name in (
        *("certificates", "doctor", "hostile_objects", "leader", "lost_node", "new_version"),
        *("node_restart", "rolling_update", "svc_namespace", "uninstall"),
    )
)
"""Files there that stop or replace parts of the product or of the node. One worker runs them at
last, alone, in the order of their names. All others share the machine's only node."""
GROUPS = {path: name for name, paths in SHARED.items() for path in paths}
SYSTEMS = frozenset({"control_plane", "system", "checkout", "cluster", "plane", "lived"})
"""Fixtures that start a control plane."""


class SharedSystems(LoadScopeScheduling):
    """Give each worker one file after the other, and the files of a group to the same worker."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.split("::", 1)[0]
        if path in DISTURBING:
            return "disturbing"
        return GROUPS.get(path, path)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    return SharedSystems(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect without looking for garbage: looking for it took two fifths of the CPU time.

    What was collected stays, and later searches leave it out. In CI, one worker compiles the
    tests, and the others begin with what it has compiled. A fresh clone has nothing compiled, and
    pytest's own compiler of tests takes eight seconds of CPU time, which each worker would spend.
    """
    gc.disable()
    try:
        with _compiled_once(session):
            return (yield)
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _compiled_once(session: pytest.Session) -> Iterator[None]:
    if "CI" not in os.environ or not hasattr(session.config, "workerinput"):
        yield
        return
    clone = os.open(session.config.rootpath, os.O_RDONLY)
    try:
        try:
            fcntl.flock(clone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another one compiles, or has done so
            fcntl.flock(clone, fcntl.LOCK_SH)
        yield
    finally:
        os.close(clone)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the groups, which take longest; spread files with own systems among the others.

    Tests that start a control plane mostly wait. Workers that take the files in this order have
    tests beside them that compute, from the beginning to the end.
    """
    for path in (*GROUPS, *NODE_FILES_IN_ORDER, *DISTURBING):
        if not (config.rootpath / path).exists():
            raise pytest.UsageError(f"{path} has gone or has another name: see {__file__}")
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(_file_of(item), []).append(item)
    for path, its_items in files.items():
        if path not in GROUPS and any(map(_shares, its_items)):
            raise pytest.UsageError(f"{path} uses a control plane of the session: see {__file__}")
    waiting = [path for path in files if path not in GROUPS and _waits(files[path])]
    place = {path: (rank + 0.5) / len(waiting) for rank, path in enumerate(waiting)}
    place |= dict.fromkeys(GROUPS, 0.0)
    others = [path for path in files if path not in place]
    place |= {path: (rank + 0.5) / len(others) for rank, path in enumerate(others)}
    place |= {path: rank - 100.0 for rank, path in enumerate(NODE_FILES_IN_ORDER)}
    place |= dict.fromkeys(DISTURBING, 2.0)
    items.sort(key=lambda item: place[_file_of(item)])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the fixtures of the session after the last test of a group.

    A worker that goes on with other files would keep the control plane until its end, and one that
    nobody uses takes two seconds of CPU time in each minute. Without workers, all groups share one.
    """
    group = GROUPS.get(_file_of(item))
    is_last = nextitem is not None and GROUPS.get(_file_of(nextitem)) != group
    if group and is_last and hasattr(item.config, "workerinput"):
        item.session._setupstate.teardown_exact(None)  # noqa: SLF001 - there is no public way


def _file_of(item: pytest.Item) -> str:
    return item.nodeid.split("::", 1)[0]


def _waits(items: list[pytest.Item]) -> bool:
    return any(SYSTEMS & set(getattr(item, "fixturenames", ())) for item in items)


def _shares(item: pytest.Item) -> bool:
    known = getattr(item, "_fixtureinfo", None)
    found = [known.name2fixturedefs.get(name, ()) for name in SYSTEMS] if known else []
    return any(definitions and definitions[-1].scope == "session" for definitions in found)


def pytest_sessionfinish() -> None:
    """Write the measured coverage: xdist kills a worker that takes long to exit.

    The measurement stops before. Otherwise the worker would write again when it exits, and to be
    killed then would destroy the file: coverage writes without a journal.
    """
    measured = Coverage.current()
    if measured is not None:
        measured.stop()
        measured.save()


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """Start a control plane without the product; each test has a namespace of its own in it."""
    with temporary_control_plane() as plane:
        yield plane


@pytest.fixture(scope="session")
def disturbing_node_files() -> frozenset[str]:
    return frozenset(DISTURBING)


NOBODY = 65534


@pytest.fixture
def unprivileged_directory() -> Iterator[Path]:
    """Return a directory of the user `nobody`, and run as it: permissions don't bind root."""
    user = os.geteuid()
    with TemporaryDirectory(dir="/tmp") as directory:
        if user == 0:
            os.chown(directory, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            yield Path(directory)
        finally:
            os.seteuid(user)
