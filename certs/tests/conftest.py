"""The real API server, for the tests that need one."""

from pathlib import Path

import pytest
from kubernetes.client import ApiClient
from kubernetes.config import new_client_from_config
from tradingbot_dev.control_plane.plane import ControlPlane


@pytest.fixture(scope="session")
def kubeconfig(control_plane: ControlPlane) -> Path:
    return control_plane.kubeconfig


@pytest.fixture(scope="session")
def api_client(kubeconfig: Path) -> ApiClient:
    return new_client_from_config(str(kubeconfig))
