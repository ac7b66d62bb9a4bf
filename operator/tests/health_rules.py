"""How other tools read the status of an object: kstatus (Flux, Helm), kubectl wait, Argo CD."""

from pathlib import Path
from typing import Any

from lupa.lua51 import LuaRuntime
from tradingbot_api.model import JsonObject

SCRIPT = Path(__file__).resolve().parents[2] / "config" / "argocd" / "health.lua"


def kstatus(obj: JsonObject) -> str:
    """Return the status of a custom resource by the generic rules of cli-utils' kstatus."""
    meta, status = obj["metadata"], obj.get("status") or {}
    if "deletionTimestamp" in meta:
        return "Terminating"
    if "observedGeneration" in status and status["observedGeneration"] != meta["generation"]:
        return "InProgress"
    conditions = status.get("conditions") or []
    for condition in conditions:
        if (condition["type"], condition["status"]) == ("Reconciling", "True"):
            return "InProgress"
        if (condition["type"], condition["status"]) == ("Stalled", "True"):
            return "Failed"
    for condition in conditions:
        if condition["type"] == "Ready":
            return "Current" if condition["status"] == "True" else "InProgress"
    return "Current"


def waited_for(obj: JsonObject, type_: str, value: str = "True") -> bool:
    """Return whether `kubectl wait --for=condition=TYPE=VALUE` returns at once."""
    status = obj.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition["type"] == type_:
            observed = condition.get("observedGeneration", status.get("observedGeneration"))
            if observed is not None and observed < obj["metadata"]["generation"]:
                return False
            return bool(condition["status"] == value)
    return False


def argo_health(obj: JsonObject) -> tuple[str, str]:
    """Return status and message from the health script, run as Argo CD runs it.

    With `obj` as a global variable, in Lua 5.1, with the base library alone.
    """
    lua = LuaRuntime(unpack_returned_tuples=True, register_eval=False, register_builtins=False)
    run = lua.execute(
        """
        local ipairs, pairs, loadstring, setfenv = ipairs, pairs, loadstring, setfenv
        return function(script, obj)
          local health = assert(loadstring(script))
          setfenv(health, {obj = obj, ipairs = ipairs, pairs = pairs})
          return health()
        end
        """
    )
    found: Any = run(SCRIPT.read_text("utf-8"), lua.table_from(obj, recursive=True))
    return str(found["status"]), str(found["message"])
