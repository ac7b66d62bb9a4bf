"""What is mounted inside a folder, and taking it off."""

import ctypes
import os
from pathlib import Path

from tradingbot_dev.errors import CommandFailedError

_DETACH = 2  # MNT_DETACH, of <sys/mount.h>


def mounted_below(folder: Path) -> list[Path]:
    """The mount points in it, those on top of others first."""
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    found = [Path(_unescaped(place)) for place in places]
    return [place for place in reversed(found) if place.is_relative_to(folder)]


def unmount_below(folder: Path) -> None:
    """Takes all of them off; raises CommandFailedError if one can't be."""
    libc = ctypes.CDLL(None, use_errno=True)
    for place in mounted_below(folder):
        if libc.umount2(os.fsencode(place), _DETACH) != 0:
            why = os.strerror(ctypes.get_errno())
            raise CommandFailedError(f"{place} can't be unmounted: {why}")
    if left := mounted_below(folder):
        raise CommandFailedError(f"still mounted: {', '.join(map(str, left))}")


def _unescaped(place: str) -> str:
    """The kernel writes white space and backslashes as three octal digits."""
    return place.encode().decode("unicode_escape")
