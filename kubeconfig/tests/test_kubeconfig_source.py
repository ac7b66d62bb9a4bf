"""Which source of access a process takes, and how errors are worded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tradingbot_kubeconfig.client import connect
from tradingbot_kubeconfig.source import DEFAULT, KubeconfigError, explained, files

IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}


def test_a_kubeconfig_that_is_named_comes_before_the_pods_service_account() -> None:
    assert files(IN_A_POD) is None
    assert files(IN_A_POD | {"KUBECONFIG": "/a"}) == "/a"
    assert files(IN_A_POD | {"KUBECONFIG": "/a"}, kubeconfig="/b") == "/b"
    assert files({}) == DEFAULT
    assert files({"KUBECONFIG": ""}) == DEFAULT


def test_one_of_several_files_is_enough(tmp_path: Path) -> None:
    present = tmp_path / "present"
    present.touch()
    with explained(os.pathsep.join([str(tmp_path / "absent"), str(present)]), remedy=""):
        pass
    with pytest.raises(KubeconfigError, match=r"no kubeconfig at .*/absent: set it"):
        connect(str(tmp_path / "absent"), remedy="set it")


def test_a_kubeconfig_that_is_nested_too_deeply_is_named(tmp_path: Path) -> None:
    deep = tmp_path / "deep"
    deep.write_text("clusters: " + "[" * 10_000)
    with pytest.raises(KubeconfigError, match="does not have the structure of a kubeconfig"):
        connect(str(deep))


def test_a_pod_without_a_token_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setattr(
        "kubernetes.config.incluster_config.SERVICE_TOKEN_FILENAME", str(tmp_path / "token")
    )
    with pytest.raises(KubeconfigError, match="no token is mounted"):
        connect()
