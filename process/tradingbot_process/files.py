"""Files that survive a power failure."""

import os
from pathlib import Path


def flush(path: Path) -> None:
    """Write a file, or the names in a directory, to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
