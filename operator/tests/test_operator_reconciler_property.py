"""With any events in any order, a stop is carried out or reported as blocked.

Users, tenants, bots, controllers, time and faults take turns. At each quiet point the test checks
which pods run in the cluster and what the status and the events report.
"""

import copy
import os
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model_bot_cluster import GARBAGE, PLACES, ModelCluster, at
from model_controllers import Controllers
from model_faults import (
    ALWAYS,
    CHILDREN,
    ERRORS,
    LADDER,
    POLICY,
    REQUESTS,
    SECRET_KEY,
    TENANTS_EDITS,
    foreign_object,
)
from model_operator import KEY, ModelOperator
from operator_harness import bot_body, merged
from reconcile_harness import BOT, CONFIG_MAP, CREDENTIALS
from tradingbot_api.model import JsonObject
from tradingbot_operator import FINALIZER
from tradingbot_operator.bots.children import manifests
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.cluster.conditions import condition_of

EXAMPLES = int(os.environ.get("TRADINGBOT_RECONCILER_EXAMPLES", "25"))
"""Each takes half a second, and every run tries others."""
QUIET_SECONDS = 200
"""Longer than the queue's longest pause, a pod's grace period and PATIENCE together."""


class Reconciler(RuleBasedStateMachine):
    """One bot, and all who change it or its objects."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = ModelCluster()
        self.controllers = Controllers(self.cluster)
        self.cluster.put(CREDENTIALS)
        self.operator = ModelOperator(self.cluster, self.controllers)
        self.halted_until: str | None = None
        """The end of the trading day for which a halt of the bot was written."""
        self.foreign: dict[tuple[str, str, str], JsonObject] = {}
        self.wrongs: list[str] = []
        self.cluster.on_start = self._check_start

    def teardown(self) -> None:
        self.operator.close()

    @property
    def bot(self) -> JsonObject | None:
        return self.cluster.objects.get(BOT)

    @property
    def status(self) -> JsonObject:
        return dict((self.bot or {}).get("status") or {})

    @property
    def running(self) -> list[JsonObject]:
        return self.controllers.running(*KEY)

    def is_halted(self) -> bool:
        return self.halted_until is not None and self.cluster.now < at(self.halted_until)

    def must_stop(self) -> str:
        """Return why the bot must not run, by its spec and the loss of the day; empty if it may."""
        bot = self.bot
        if bot is None:
            return "gone"
        if "deletionTimestamp" in bot["metadata"]:
            return "deleted"
        spec = bot["spec"]
        if spec.get("paused"):
            return "paused"
        if spec.get("mode") == "Dream":
            return "invalid"
        if self.is_halted():
            return "halted"
        if SECRET_KEY not in self.cluster.objects and not self._fails("get", "Secret"):
            return "credentials"
        windows = spec.get("schedule", {}).get("windows")
        if windows and not 20 <= self.cluster.now.hour < 21:
            return "off hours"
        return ""

    def _fails(self, verb: str, kind: str) -> bool:
        return (verb, kind) in self.cluster.refused

    def _check_start(self) -> None:
        if self.is_halted():
            self.wrongs.append("a halted bot was started")

    def _note_latch(self) -> None:
        """Note a halt that was written; forget one that no object has any more."""
        until = (self.status.get("risk") or {}).get("resumesAt")
        if until is not None:
            self.halted_until = max(until, self.halted_until or "")

    def _lose_latch(self) -> None:
        """Note that somebody removed one of the two records of the halt, so that it may be lost."""
        config_map = self.cluster.objects.get(CONFIG_MAP, {})
        known = manifests.Config.stored_halt(config_map)
        in_status = (self.status.get("risk") or {}).get("haltedSince")
        if not in_status and (known is None or known <= self.cluster.now):
            self.halted_until = None

    def let_pass(self, seconds: float) -> None:
        self.operator.pass_time(seconds)
        self._note_latch()

    @initialize()
    def make(self) -> None:
        self.cluster.put(bot_body(metadata={"uid": self.cluster.uid()}))
        self.let_pass(10)

    def edit_bot(self, **patch: Any) -> None:
        assert self.bot is not None
        generation = self.bot["metadata"]["generation"] + 1
        self.cluster.edit(*BOT, **patch)
        self.cluster.edit(*BOT, metadata={"generation": generation})

    @precondition(lambda self: self.bot is not None)
    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.edit_bot(spec={"paused": paused})

    @precondition(lambda self: self.bot is not None)
    @rule(mode=st.sampled_from(["Dream", "Paper"]))
    def set_mode(self, mode: str) -> None:
        self.edit_bot(spec={"mode": mode})

    @precondition(lambda self: self.bot is not None)
    @rule(is_open=st.booleans())
    def set_hours(self, is_open: bool) -> None:
        windows = None if is_open else [{"start": "20:00", "end": "21:00"}]
        self.edit_bot(spec={"schedule": {"windows": windows}})

    @precondition(lambda self: self.bot is not None)
    @rule(tag=st.sampled_from(["1.0", "2.0"]))
    def set_image(self, tag: str) -> None:
        self.edit_bot(spec={"strategy": {"image": f"ghcr.io/example/arb:{tag}"}})

    @rule(is_there=st.booleans())
    def set_secret(self, is_there: bool) -> None:
        self.cluster.objects.pop(SECRET_KEY, None)
        if is_there:
            self.cluster.put(CREDENTIALS)

    @precondition(lambda self: self.bot and "deletionTimestamp" not in self.bot["metadata"])
    @rule(orphan=st.booleans())
    def delete(self, orphan: bool) -> None:
        assert self.bot is not None
        children = [self.cluster.objects[key] for key in CHILDREN if key in self.cluster.objects]
        orphan = orphan and all(child["metadata"].get("labels") for child in children)
        names = self.bot["metadata"].get("finalizers") or []
        if orphan:
            self.cluster.edit(*BOT, metadata={"finalizers": [*names, "orphan"]})
        self.cluster.remove(BOT)

    @precondition(lambda self: self.bot is None)
    @rule()
    def make_again(self) -> None:
        self._lose_latch()
        self.cluster.put(bot_body(metadata={"uid": self.cluster.uid(), "finalizers": None}))

    # Tenants.

    @rule(edit=st.sampled_from(sorted(TENANTS_EDITS)))
    def edit_child(self, edit: str) -> None:
        key, patch = TENANTS_EDITS[edit]
        live = self.cluster.objects.get(key)
        if live is None or key in self.foreign:
            return
        after = merged(live, patch)["metadata"]
        finalizers = (self.bot or {"metadata": {}})["metadata"].get("finalizers") or []
        is_owned = after.get("ownerReferences") and "orphan" not in finalizers
        # Without labels and owner the child belongs to nobody: a name conflict.
        if after.get("labels") or is_owned:
            self.cluster.edit(*key, **patch)
            self._lose_latch()

    @rule(key=st.sampled_from(CHILDREN))
    def delete_child(self, key: tuple[str, str, str]) -> None:
        if key in self.cluster.objects and key not in self.foreign:
            self.cluster.remove(key)
            self._lose_latch()

    @precondition(lambda self: self.bot is not None)
    @rule()
    def wipe_status(self) -> None:
        self.cluster.edit(*BOT, status=None)
        self._lose_latch()

    @rule(key=st.sampled_from([*CHILDREN, ("Pod", "desk", "stranger")]))
    def put_foreign(self, key: tuple[str, str, str]) -> None:
        """Create somebody else's object with a child's name, or pod with the bot's labels."""
        if key in self.cluster.objects:
            return
        self.cluster.put(foreign_object(key, self.cluster.uid()))
        self.foreign[key] = copy.deepcopy(self.cluster.objects[key])

    @precondition(lambda self: self.foreign)
    @rule(data=st.data())
    def remove_foreign(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.foreign)))
        del self.foreign[key]
        self.cluster.objects.pop(key)

    # The bot, the cluster, the operator.

    @rule(pnl=st.sampled_from(["0", "-50", "-200", "500"]))
    def report(self, pnl: str) -> None:
        self.operator.polls.pnl = pnl

    @rule()
    def end_pod(self) -> None:
        for pod in self.running:
            self.cluster.remove(("Pod", "desk", pod["metadata"]["name"]))

    @rule()
    def hold_pod(self) -> None:
        """Add a finalizer of somebody else to all pods."""
        for pod in self.running:
            meta = pod["metadata"]
            if "deletionTimestamp" not in meta:
                self.cluster.edit(
                    "Pod", "desk", meta["name"], metadata={"finalizers": ["theirs/hold"]}
                )

    @rule(what=st.sampled_from(["are_down", "node_is_lost", "quota_is_full"]), value=st.booleans())
    def break_cluster(self, what: str, value: bool) -> None:
        setattr(self.controllers, what, value)

    @rule()
    def restart_operator(self) -> None:
        self.operator.restart()

    @rule(behind=st.booleans())
    def hold_up_watches(self, behind: bool) -> None:
        self.operator.is_behind = behind

    # The API server.

    @rule(
        request=st.sampled_from(REQUESTS),
        error=st.sampled_from(ERRORS),
        times=st.sampled_from([1, 2, ALWAYS]),
    )
    def refuse(self, request: tuple[str, str], error: KubernetesError, times: int) -> None:
        self.cluster.refused[request] = (error, times)

    @rule(steps=st.integers(0, 4))
    def refuse_stop(self, steps: int) -> None:
        """Refuse the first steps of the ladder, as a policy does."""
        for requests in LADDER[:steps]:
            for request in requests:
                self.cluster.refused[request] = (POLICY, ALWAYS)

    @precondition(lambda self: self.bot is not None)
    @rule(steps=st.integers(0, 4), reason=st.sampled_from(["pause", "loss", "hours", "deletion"]))
    def stop_at_a_bad_time(self, steps: int, reason: str) -> None:
        """Let all that a stop needs happen, one right after the other."""
        assert self.bot is not None
        self.refuse_stop(steps)
        if reason == "pause":
            self.edit_bot(spec={"paused": True})
        elif reason == "hours":
            self.set_hours(is_open=False)
        elif reason == "loss":
            self.operator.polls.pnl = "-200"
        elif "deletionTimestamp" not in self.bot["metadata"]:
            self.cluster.remove(BOT)
        self.be_quiet()

    @rule(
        key=st.sampled_from([BOT, *CHILDREN, "Pod", "ReplicaSet"]),
        place=st.sampled_from(PLACES),
        value=st.sampled_from([None, *GARBAGE]),
    )
    def corrupt(self, key: Any, place: tuple[str, ...], value: Any) -> None:
        if isinstance(key, str):
            names = [known for known in self.cluster.objects if known[0] == key]
            if not names:
                return
            key = names[-1]
        if key[0] == "Pod" and place == ("metadata", "labels"):
            return  # a pod without labels belongs to nobody
        # Without an owner or a latch an object says something else, and nothing shows that it lies.
        if value is None and place not in {("spec",), ("status", "conditions"), ("data",)}:
            value = 7
        if key not in self.foreign:
            self.cluster.corruptions[key] = (place, value)

    @rule(key=st.sampled_from([BOT, *CHILDREN]))
    def make_unreadable(self, key: tuple[str, str, str]) -> None:
        if key in self.cluster.objects and key not in self.foreign:
            self.cluster.unreadable.add(key)

    @rule(seconds=st.sampled_from([0, 1, 3, 7, 12, 20, 90, 3600]))
    def wait(self, seconds: float) -> None:
        self.let_pass(seconds)

    @rule()
    def wait_for_the_next_day(self) -> None:
        following = self.cluster.now.replace(hour=1, minute=0, second=0) + timedelta(days=1)
        self.let_pass((following - self.cluster.now).total_seconds())

    @rule()
    def be_quiet(self) -> None:
        self.operator.is_behind = False
        self.cluster.end_passing_faults()
        self.let_pass(QUIET_SECONDS)
        reason = self.must_stop()
        if reason and reason != "gone" and self.running:
            event(f"a stop that is not carried out: {reason}")
            self._check_that_a_stop_is_told(reason)

    @rule()
    def heal(self) -> None:
        self.operator.is_behind = False
        self.cluster.heal()
        self.controllers.are_down = self.controllers.node_is_lost = False
        self.controllers.quota_is_full = False
        for key, obj in list(self.cluster.objects.items()):
            if key[0] == "Pod" and obj["metadata"].get("finalizers"):
                self.cluster.edit(*key, metadata={"finalizers": None})
        self.let_pass(QUIET_SECONDS)
        self._check_that_all_is_well()

    # What must hold.

    @invariant()
    def nothing_wrong_was_done(self) -> None:
        assert not self.wrongs, self.wrongs

    @invariant()
    def objects_of_others_are_as_they_were(self) -> None:
        for key, obj in self.foreign.items():
            assert self.cluster.objects.get(key) == obj

    def _check_that_a_stop_is_told(self, reason: str) -> None:
        error = self.operator.last_error
        told = [event["reason"] for event in self.cluster.posted if event["type"] == "Warning"]
        if not self._fails("create", "Event"):
            assert {"StopBlocked", "ReconcileFailed"} & set(told), (reason, told, error)
        blocked = [key for key, memory in self.operator.context.memories.items() if memory.blocked]
        assert blocked == [KEY], (reason, error)
        if self._fails("merge/status", "TradingBot") or self._fails("merge", "TradingBot"):
            return
        assert self.status["phase"] in {"Stopping", "Terminating"}, (reason, self.status, error)
        condition = condition_of(self.status, "StopBlocked")
        assert condition.get("status") == "True", (reason, condition, error)
        assert condition["message"]

    def _check_that_all_is_well(self) -> None:
        reason, error = self.must_stop(), self.operator.last_error
        assert error is None, error
        conflict = any(key[0] != "Pod" for key in self.foreign)
        if self.bot is None:
            assert not self.running
            return
        if reason or conflict:
            assert not self.running, (reason, self.status)
            assert self.status["phase"] not in {"Stopping", "Pending", "Running"}, self.status
            assert condition_of(self.status, "StopBlocked")["status"] == "False"
        else:
            assert self.status["phase"] == "Running", self.status
            (pod,) = self.running
            assert pod["image"] == self.bot["spec"]["strategy"]["image"]
            assert FINALIZER in self.bot["metadata"]["finalizers"]
        assert condition_of(self.status, "ChildrenApplied")["status"] == "True", self.status
        version = self.cluster.version
        self.cluster.writes.clear()
        self.let_pass(QUIET_SECONDS)
        is_settled = self.cluster.version == version or reason != self.must_stop()
        assert is_settled, self.cluster.writes


Reconciler.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestReconciler = Reconciler.TestCase
