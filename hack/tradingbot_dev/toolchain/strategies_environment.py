"""The Python environment of the strategies: what their image has, for pods that run as processes.

Their requirements are locked apart from those of the development tools, which have no client of an
exchange. The packages of this checkout are not installed into it: `PACKAGES` has their directories.
"""

import os
from pathlib import Path

from tradingbot_dev.toolchain.locked_environment import LockedEnvironment

_ROOT = Path(__file__).resolve().parents[3]
STRATEGIES = LockedEnvironment(
    "strategies", _ROOT / "strategies" / "requirements.txt", "the packages of the strategies"
)
PACKAGES = os.pathsep.join(str(_ROOT / name) for name in ("strategies", "exchange", "api"))
"""The value of PYTHONPATH with which the environment finds the code of this checkout."""
