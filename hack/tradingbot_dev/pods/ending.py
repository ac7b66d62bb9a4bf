"""End all local pods' processes, without an agent: what `make down` does."""

from tradingbot_dev.pods.containers import PREFIX, State
from tradingbot_dev.pods.records import recorded
from tradingbot_dev.processes.table import ProcessTable


def end_all(state: State) -> list[str]:
    """Send SIGTERM to all processes of pods at once, and SIGKILL to those that outlive 15 s.

    Returns the pods whose processes ran. Call it when no agent runs, which would restart them.
    """
    table = ProcessTable(run=state.run, log=state.pods)
    ended = table.stop(*process_names(table))
    names = {record.uid: f"pod {record.namespace}/{record.name}" for record in recorded(state.pods)}
    return sorted({_pod_of(name, names) for name in ended})


def process_names(table: ProcessTable) -> list[str]:
    """Return the names of the processes of pods in a process table."""
    return [name for name in table.all_running() if name.startswith(PREFIX)]


def _pod_of(process: str, names: dict[str, str]) -> str:
    return next((name for uid, name in names.items() if uid in process), process)
