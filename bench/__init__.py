"""Benchmarks, and the peers that they measure against. `docs/benchmarks.md` explains them."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What starts a control plane and builds Go programs is in hack/, which is no installed package.
sys.path.insert(0, str(ROOT / "hack"))
