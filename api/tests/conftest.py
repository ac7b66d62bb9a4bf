"""The real API server with the CRDs of this checkout, and no webhook in front of them."""

from collections.abc import Iterator

import pytest
from crd_layer import CrdLayer
from tradingbot_dev.control_plane.plane import ControlPlane


@pytest.fixture(scope="session")
def crd_layer(control_plane: ControlPlane) -> Iterator[CrdLayer]:
    """Applies the CRDs as they are generated now, and answers what the API server says."""
    layer = CrdLayer(control_plane)
    layer.install()
    yield layer
    layer.close()
