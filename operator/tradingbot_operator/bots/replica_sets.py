"""Which Deployment controls which ReplicaSet: the link between a pod and the bot's Deployment.

Anyone who may create pods in a namespace may give one the bot's labels and any owner reference. So
the operator reads the ReplicaSet that a pod names, and the Deployment that controls it. The answer
does not change while the Deployment exists, so each ReplicaSet is read once.
"""

import logging
import re
from collections.abc import Iterable, Mapping

from tradingbot_api.model import JsonObject
from tradingbot_api.namespaced_name import NamespacedName

from tradingbot_operator import BOT_LABEL, MANAGED_BY
from tradingbot_operator.bots.pods import NOT_CONTROLLED, controller_of, replica_set_of
from tradingbot_operator.cluster.client import KubernetesApi, KubernetesError

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,251}[a-z0-9])?")

MOST_READS = 5
"""ReplicaSets read in one reconcile. The pods of a bot name one, or two during a rollout."""

MOST_OF_A_BOT = 20
"""ReplicaSets remembered of each bot; a Deployment keeps 10 old ones."""


class ReplicaSets:
    """The Deployments that control the ReplicaSets of each bot."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._owners: dict[NamespacedName, dict[str, str]] = {}

    async def learn(self, namespaces: Iterable[str]) -> None:
        """List all ReplicaSets of bots, so that an operator that starts need not read each."""
        for namespace in namespaces:
            async for found in self._api.items(
                "ReplicaSet", namespace=namespace, labels=MANAGED_BY, metadata_only=True
            ):
                meta = found["metadata"]
                bot = (meta.get("labels") or {}).get(BOT_LABEL)
                if bot is not None:
                    self._note(NamespacedName(meta["namespace"], bot), found)

    async def owners(
        self,
        bot: NamespacedName,
        pods: Iterable[JsonObject],
        deployment: str | None,
        *,
        must_know: bool = True,
    ) -> Mapping[str, str]:
        """Return the uid of the controlling Deployment of each ReplicaSet of the pods, by its uid.

        A ReplicaSet that is not known to belong to `deployment` is read: an orphan may have been
        adopted. Raises KubernetesError if one can't be read; without `must_know` it is left out,
        since a stop must not depend on it.
        """
        wanted = {found for pod in pods if (found := replica_set_of(pod)) is not None}
        answers = dict(self._owners.get(bot, {}))
        doubtful = [
            (name, uid)
            # Those that were never read come first: the bot's own may be among them.
            for name, uid in sorted(wanted, key=lambda found: (found[1] in answers, found))
            # A pod may name any owner; read only what can be a ReplicaSet of the bot by its name.
            if deployment is not None and answers.get(uid) != deployment and _may_be(name, bot[1])
        ]
        for name, uid in doubtful[:MOST_READS]:
            try:
                live = await self._api.get("ReplicaSet", bot.namespace, name)
            except KubernetesError as error:
                if must_know:
                    raise
                logger.warning("Could not read ReplicaSet %s/%s: %s", bot[0], name, error)
                continue
            if live is not None and live["metadata"].get("uid") == uid:
                answers[uid] = self._note(bot, live)
        return answers

    def forget(self, bot: NamespacedName) -> None:
        """Forget a bot that is gone."""
        self._owners.pop(bot, None)

    def _note(self, bot: NamespacedName, found: JsonObject) -> str:
        owner, uid = controller_of(found), found["metadata"].get("uid")
        made_by = NOT_CONTROLLED if owner is None else str(owner.get("uid", ""))
        if uid is not None:  # it is if the object could not be parsed
            known = self._owners.setdefault(bot, {})
            known.pop(uid, None)
            known[uid] = made_by
            while len(known) > MOST_OF_A_BOT:
                del known[next(iter(known))]
        return made_by


def _may_be(name: str, bot: str) -> bool:
    """Return whether a ReplicaSet of the bot's Deployment can have that name."""
    return _NAME.fullmatch(name) is not None and name.startswith(f"{bot}-")
