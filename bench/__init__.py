"""Benchmarks against peers in Go, Rust and Python. `docs/benchmarks.md` explains them."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# hack/ starts control planes and builds Go programs. It is not an installed package.
sys.path.insert(0, str(ROOT / "hack"))
