"""Apply a plan to the children of a bot; a stop comes before all else.

A child that the API server refuses does not delay the others: the answer is returned, and the
status reports it. There are two exceptions. No pod is started while the ConfigMap with its limits
could not be written. And an existing child is adopted only after the API server has confirmed that
the bot still exists.
"""

from dataclasses import replace
from datetime import timedelta

from tradingbot_api.model import JsonObject, digest

from tradingbot_operator import CHILD_KINDS
from tradingbot_operator.bots.bot import Bot
from tradingbot_operator.bots.children.differences import Difference
from tradingbot_operator.bots.children.drift import (
    corrections,
    differs,
    must_replace,
    outdated_annotations,
)
from tradingbot_operator.bots.children.overrides import deviations
from tradingbot_operator.bots.context import Context, Correction, ReconcileError
from tradingbot_operator.bots.observed import (
    Children,
    Observed,
    Refusal,
    has_stopped,
    running_hash,
)
from tradingbot_operator.bots.plan import Plan
from tradingbot_operator.bots.restart_causes import causes_of
from tradingbot_operator.bots.stops.ladder import carry_out, wants_pods, without_pods
from tradingbot_operator.cluster.client import KubernetesError
from tradingbot_operator.cluster.events import NORMAL, Transition
from tradingbot_operator.cluster.reading.foreign_fields import (
    FOREIGN_FIELDS,
    NOT_RECORDED,
    note_foreign_fields,
)

STOP_PAUSE = timedelta(seconds=1)
"""Pause between two attempts at a stop that is refused: each pod event causes a reconcile."""

CONFIRM_AFTER = timedelta(seconds=1)
"""How long a restored child must stay as declared before an event says that it was restored."""

MOST_PATHS = 10
"""Fields that the event of a correction names."""


_NEEDED_FIRST = ("PersistentVolumeClaim", "NetworkPolicy")
"""Children without which no pod is started, if they are declared."""


_KEPT = ("Deployment", "ConfigMap")
"""Children that stay as they are while a restart waits."""


class BotGoneError(ReconcileError):
    """Raised if the bot was deleted, or created again, before its children could be adopted."""


async def apply_plan(
    context: Context, bot: Bot, body: JsonObject, decision: Plan, observed: Observed
) -> Observed:
    """Apply what differs, and only that. Returns the children then, and what was refused.

    Raises KubernetesError for a conflict: the plan was computed from outdated objects.
    """
    gone: Exception | None = None
    if observed.adoptable:
        try:
            await _still_exists(context, bot)
        except (KubernetesError, BotGoneError) as error:
            gone = error
    applying = _Applying(context, bot, body, decision, observed)
    await applying.confirm_corrections()
    if decision.stop is not None and not has_stopped(observed):
        # Also if nothing may be adopted: an unowned Deployment trades like any other.
        observed = await applying.stop(adopt=gone is None)
    if gone is not None:
        raise gone
    for manifest in decision.manifests:
        await applying.apply_if_different(manifest)
    for kind in decision.removals:
        await applying.remove(kind)
    return replace(
        observed,
        children=Children(*(applying.live[kind] for kind in CHILD_KINDS)),
        refusals=tuple(applying.refusals.values()),
    )


async def _still_exists(context: Context, bot: Bot) -> None:
    """Read the bot from the API server before an adoption, as controllers of Kubernetes do."""
    found = await context.api.get("TradingBot", *bot.key)
    meta = (found or {}).get("metadata") or {}
    if meta.get("uid") != bot.meta.uid or meta.get("deletionTimestamp"):
        raise BotGoneError(
            f"TradingBot {bot.meta.name} no longer exists; its children are not adopted"
        )


class _Applying:
    """One pass over the children of a bot."""

    def __init__(
        self, context: Context, bot: Bot, body: JsonObject, decision: Plan, observed: Observed
    ) -> None:
        self.live: dict[str, JsonObject | None] = dict.fromkeys(CHILD_KINDS)
        self.live |= {child["kind"]: child for child in observed.children.existing()}
        self.refusals = {refusal.kind: refusal for refusal in observed.refusals}
        self._context = context
        self._bot = bot
        self._body = body
        self._decision = decision
        self._observed = observed
        self._stop_deleted = False
        self._applies_first = True

    async def stop(self, *, adopt: bool) -> Observed:
        """Stop the bot with the first kind of write that is not refused (see `stops.ladder`).

        The first kind is an apply of the manifest, which adopts an unowned Deployment. Without
        `adopt` it is a patch of the replicas.
        """
        self._applies_first = adopt or "Deployment" not in self._observed.adoptable
        now, since = self._context.clock(), self._observed.stopping_since
        waited = 0.0 if since is None else (now - since).total_seconds()
        deployment = self.live["Deployment"]
        memory = self._context.memory(self._bot.key)
        if memory.stop_refusals and memory.stop_tried and now - memory.stop_tried < STOP_PAUSE:
            return replace(self._observed, stop_refusals=memory.stop_refusals)
        stop = await carry_out(
            self._context.api,
            self._bot.meta.namespace,
            deployment,
            self._observed.pods.to_stop,
            first=self._first_step,
            waited=waited,
        )
        memory.stop_tried, memory.stop_refusals = now, stop.refusals
        self._stop_deleted = deployment is not None and stop.deployment is None
        # What the steps of a stop have changed must not be reported as the correction of drift.
        self._context.declared.pop(("Deployment", *self._bot.key), None)
        self.live["Deployment"] = stop.deployment
        return replace(self._observed, stop_refusals=stop.refusals)

    async def _first_step(self) -> JsonObject:
        """Apply the declared Deployment; if there is none, patch the live one to 0 replicas."""
        for manifest in self._decision.manifests:
            if manifest["kind"] == "Deployment" and self._applies_first:
                try:
                    return await self._apply(manifest, self.live["Deployment"])
                except KubernetesError as error:
                    self._refused(manifest, error)
                    raise
        return await without_pods(self._context.api, *self._bot.key)

    async def confirm_corrections(self) -> None:
        """Post an event for each correction that this observation confirms, and forget the others.

        One that does not hold was changed again: by a person, by another controller.
        """
        now = self._context.clock()
        found = self._context.recall(self._bot.key).corrections
        for kind, correction in tuple(found.items()):
            if now - correction.made < CONFIRM_AFTER:
                continue
            del found[kind]
            live = self.live[kind]
            for manifest in self._decision.manifests:
                if manifest["kind"] != kind or live is None:
                    continue
                drift = {change.path for change in self._drift(manifest, live)}
                if drift.isdisjoint(correction.paths):
                    where = f": {', '.join(correction.paths)}" if correction.paths else ""
                    name = manifest["metadata"]["name"]
                    message = f"Restored {kind} {name}, which was {correction.change}{where}"
                    await self._post((NORMAL, "DriftCorrected", message))

    def _drift(self, manifest: JsonObject, live: JsonObject) -> tuple[Difference, ...]:
        """Return the fields for which a live child has to be written."""
        return tuple(deviations(self._observed.overrides.expected(manifest, live), live))

    async def apply_if_different(self, manifest: JsonObject) -> None:
        """Apply one child if the live one differs from its manifest."""
        kind = manifest["kind"]
        before, declared = self.live[kind], digest(manifest)
        if before is not None and not self._repeats_live(kind):
            self._observed.overrides.note_observed(manifest, before)
        if kind in self.refusals or self._must_wait(kind):
            if kind == "Deployment" and before is not None and not self._differs(before, manifest):
                del self.refusals[kind]  # a later step of the stop succeeded
            return
        remembered = (kind, *self._bot.key)
        if before is None or self._differs(before, manifest):
            drift = () if before is None else self._drift(manifest, before)
            try:
                after = await self._apply(manifest, before)
            except KubernetesError as error:
                if error.is_conflict:
                    raise
                self._refused(manifest, error)
                return
            left = {found.path: found.live for found in deviations(manifest, after)}
            # A field that the answer shows as it was has not been restored.
            restored = tuple(
                found for found in drift if found.path not in left or left[found.path] != found.live
            )
            same = self._context.declared.get(remembered) == declared
            if same and kind not in self._observed.adoptable:
                self._remember_correction(kind, before, restored)
            await self._post_events(manifest, before, after, restored)
        self._context.declared[remembered] = declared

    def _repeats_live(self, kind: str) -> bool:
        """Return whether a manifest only repeats what was found live, with the fields of others.

        While a restart waits, an operator that has just started declares that. So a field that is
        as declared may be one that admission changes all the same.
        """
        running = self._decision.running
        return kind in _KEPT and running is not None and not running.is_declared

    def _differs(self, live: JsonObject, manifest: JsonObject) -> bool:
        """Return whether a child has to be applied, corrected or replaced."""
        if NOT_RECORDED in (live.get(FOREIGN_FIELDS) or ()):
            return True  # an apply records our fields again, so that those of others can be listed
        return differs(live, self._observed.overrides.expected(manifest, live))

    def _remember_correction(
        self, kind: str, before: JsonObject | None, restored: tuple[Difference, ...]
    ) -> None:
        """Remember that a child was restored, for an event once an observation confirms it."""
        if before is None or restored:
            change = "deleted" if before is None else "changed"
            paths = tuple(dict.fromkeys(found.path for found in restored))[:MOST_PATHS]
            correction = Correction(change, paths, self._context.clock())
            self._context.memory(self._bot.key).corrections[kind] = correction

    def _must_wait(self, kind: str) -> bool:
        if kind != "Deployment":
            return False
        starts = self._decision.stop is None
        if not starts and self.live[kind] is None and self._observed.overrides.undoes_stops:
            return True  # created with 0 replicas, it would get a pod all the same
        if self._stop_deleted or (starts and "ConfigMap" in self.refusals):
            return True
        # Its pod would wait for the claim, or would not be restricted.
        missing = any(kind in self.refusals and self.live[kind] is None for kind in _NEEDED_FIRST)
        return starts and missing

    async def remove(self, kind: str) -> None:
        """Delete a child that is not declared any more."""
        child = self.live[kind]
        if child is None:
            return
        meta = child["metadata"]
        try:
            await self._context.api.delete(
                kind, meta["namespace"], meta["name"], uid=str(meta.get("uid", ""))
            )
        except KubernetesError as error:
            if error.is_conflict:
                raise
            self._refused(child, error)
            return
        self.live[kind] = None
        self._context.declared.pop((kind, *self._bot.key), None)

    def _refused(self, manifest: JsonObject, error: KubernetesError) -> None:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        self.refusals[kind] = Refusal(kind, name, str(error))

    async def _apply(self, manifest: JsonObject, before: JsonObject | None) -> JsonObject:
        kind = manifest["kind"]
        meta = manifest["metadata"]
        name = (kind, meta["namespace"], meta["name"])
        api = self._context.api
        if before is not None and must_replace(before, manifest) and not self._still_runs(kind):
            await api.delete(*name, uid=before["metadata"]["uid"])
            before = None
        if before is not None and (patch := corrections(before, manifest)) is not None:
            before = {"kind": kind, **await api.merge(*name, patch)}
        sent = manifest
        if before is not None and kind in self._observed.adoptable:
            sent = _if_unchanged(manifest, before)
        live = {"kind": kind, **await self._applied(sent, before)}
        # `paused` is removed only now that the template is as declared, or as admission makes it.
        for wanted in (manifest, self._observed.overrides.expected(manifest, live)):
            if (patch := corrections(live, wanted)) is not None:
                live = {"kind": kind, **await api.merge(*name, patch)}
        if (patch := outdated_annotations(live, manifest)) is not None:
            live = {"kind": kind, **await api.merge(*name, patch)}
        note_foreign_fields(live)
        self._observed.overrides.note_answer(manifest, live, forget=not self._repeats_live(kind))
        self.live[kind] = live
        self._context.store.put(live)
        return live

    async def _applied(self, manifest: JsonObject, before: JsonObject | None) -> JsonObject:
        """Apply a manifest, and once more after guarded fields that only the API server shows.

        The cache keeps objects without parts that may be large, so `corrections` of a cached object
        may miss the field for which the API server refuses the apply.
        """
        api = self._context.api
        try:
            return await api.apply(manifest, new=before is None)
        except KubernetesError as error:
            if before is None or error.is_conflict:
                raise
            meta = before["metadata"]
            name = (manifest["kind"], meta["namespace"], meta["name"])
            whole = await api.get(*name)
            patch = None if whole is None else corrections(whole, manifest)
            if patch is None:
                raise
            await api.merge(*name, patch)
            return await api.apply(manifest)

    def _still_runs(self, kind: str) -> bool:
        """Return whether the child is a Deployment that has to be stopped before it is replaced."""
        return kind == "Deployment" and not has_stopped(self._observed)

    async def _post_events(
        self,
        manifest: JsonObject,
        before: JsonObject | None,
        after: JsonObject,
        restored: tuple[Difference, ...],
    ) -> None:
        """Post an event if a child was adopted, and one if the write restarts the bot."""
        kind = manifest["kind"]
        if kind in self._observed.adoptable:
            name = manifest["metadata"]["name"]
            message = f"Adopted {kind} {name}, which had this bot's labels and no owner"
            await self._post((NORMAL, "Adopted", message))
        if kind == "Deployment" and wants_pods(before) and wants_pods(after):
            message = self._restart_message(before, after, restored)
            if message:
                await self._post((NORMAL, "Restarting", message))

    def _restart_message(
        self,
        before: JsonObject | None,
        after: JsonObject,
        restored: tuple[Difference, ...],
    ) -> str:
        """Return what a write of the Deployment restarts the bot for, "" if it does not."""
        old, new = (running_hash(Children(deployment=found)) for found in (before, after))
        causes = self._decision.causes if old != new else ()
        if causes:
            return f"Restarting the bot for a change of {', '.join(causes)}"
        causes = tuple(dict.fromkeys(causes_of(restored)))
        return f"Restarting the bot: others had changed {', '.join(causes)}" if causes else ""

    async def _post(self, event: Transition) -> None:
        await self._context.recorder.post(self._body, event, self._context.clock())


def _if_unchanged(manifest: JsonObject, before: JsonObject) -> JsonObject:
    """Return the manifest so that its apply is a conflict if the live object is not `before`."""
    meta = before["metadata"]
    precondition = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
    return {**manifest, "metadata": {**manifest["metadata"], **precondition}}
