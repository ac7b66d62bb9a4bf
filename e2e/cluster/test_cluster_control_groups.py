"""The control groups of the node where the machine has version 2 of them, whatever this one has.

In a mount namespace of its own, and with a name that no node has. Which limits hold there is not
seen: version 1, where a machine has it, keeps the controllers to itself.
"""

import os
import subprocess
import sys

PROGRAM = """
import subprocess, sys
from tradingbot_node.host import cgroups

cgroups.CGROUP = sys.argv[1]
assert [str(one) for one in cgroups._hierarchies()] == ["/sys/fs/cgroup"]
group = cgroups._ROOT / cgroups.CGROUP
cgroups.create()
cgroups.create()
inner = group / "pod" / "container"
inner.mkdir(parents=True)
sleeper = subprocess.Popen(["sleep", "60"])
(inner / "cgroup.procs").write_text(str(sleeper.pid))
try:
    cgroups.remove(seconds=0)
except OSError as error:
    print("kept:", error.strerror)
cgroups.kill_all()
print("ended by signal", -sleeper.wait(20))
cgroups.remove()
print("left:", [one.name for one in cgroups._ROOT.glob(cgroups.CGROUP)])
"""
UNIFIED = (
    'umount --lazy --recursive /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'
)


def test_in_version_2_pods_are_ended_and_their_groups_removed() -> None:
    name = f"tradingbot-trial-{os.getpid()}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", UNIFIED, "sh", sys.executable, "-c", PROGRAM, name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "kept: Device or resource busy",
        "ended by signal 9",
        "left: []",
    ]
