"""The two images of the project, which the Dockerfile of the repository makes."""

from importlib.metadata import version
from pathlib import Path

from tradingbot_dev.progress import Progress

from tradingbot_node.images.build import build_image

VERSION = version("tradingbot-operator")
PRODUCT = f"tradingbot-operator:{VERSION}"
STRATEGIES = f"tradingbot-strategies:{VERSION}"
STRATEGIES_TARGET = "strategies"


def product_image(*, progress: Progress | None = None) -> Path:
    """Return the archive of the product's image. Raises as `build_image`."""
    return build_image(PRODUCT, progress=progress)


def strategies_image(*, progress: Progress | None = None) -> Path:
    """Return the archive of the image that runs the built-in strategies, as above."""
    return build_image(STRATEGIES, target=STRATEGIES_TARGET, progress=progress)
