"""List and unmount what is mounted inside a directory."""

import ctypes
import os
from pathlib import Path

from tradingbot_dev.errors import CommandFailedError

_DETACH = 2  # MNT_DETACH, of <sys/mount.h>


def mounted_below(directory: Path) -> list[Path]:
    """Return the mount points in the directory, those on top of others first."""
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    found = [Path(_unescaped(place)) for place in places]
    return [place for place in reversed(found) if place.is_relative_to(directory)]


def unmount_below(directory: Path) -> None:
    """Unmount everything in the directory. Raises CommandFailedError."""
    libc = ctypes.CDLL(None, use_errno=True)
    for place in mounted_below(directory):
        if libc.umount2(os.fsencode(place), _DETACH) != 0:
            why = os.strerror(ctypes.get_errno())
            raise CommandFailedError(f"could not unmount {place}: {why}")
    if left := mounted_below(directory):
        raise CommandFailedError(f"still mounted: {', '.join(map(str, left))}")


def _unescaped(place: str) -> str:
    """Decode a path. The kernel writes white space and backslashes as three octal digits."""
    return place.encode().decode("unicode_escape")
