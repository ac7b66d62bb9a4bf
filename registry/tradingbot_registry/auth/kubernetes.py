"""Authorization by the cluster in which the registry runs.

A bearer token is a ServiceAccount's or a user's. The API server identifies the caller (TokenReview)
and checks by RBAC whether the caller may use a verb on the virtual resource
`assets.registry.trading.io` (SubjectAccessReview), in all namespaces or in those of a read: an
asset is in the namespace that its external reference names. Answers are cached for a few seconds,
so that a burst of a controller does not become one of the API server.

Tokens must be issued for the registry's own audience. With a token for the API server, the
registry, and anyone who can read its traffic or memory, could act as the caller in the cluster.
"""

import hashlib
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import urllib3.exceptions
from cachetools import TLRUCache
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from tradingbot_kubeconfig.client import connect
from tradingbot_kubeconfig.source import KubeconfigError

from tradingbot_registry.errors import AuthenticationSetupError
from tradingbot_registry.refusals import ForbiddenError, UnauthenticatedError, UnavailableError

GROUP = "registry.trading.io"
AUDIENCE = "tradingbot-registry"
RESOURCE = "assets"
EVERY_NAMESPACE = ""

REMEMBERED_SECONDS = 10.0
REFUSALS_REMEMBERED_SECONDS = 2.0
REMEMBERED_ANSWERS = 4096
TIMEOUT_SECONDS = 5.0

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of a token, from the TokenReview."""

    name: str
    uid: str
    groups: tuple[str, ...]
    extra: tuple[tuple[str, tuple[str, ...]], ...]


class Answers(Generic[K, V]):
    """A cache of answers of the API server, for threads. Refusals expire sooner."""

    def __init__(self, clock: Callable[[], float], *, is_refusal: Callable[[V], bool]) -> None:
        def expiry(_: K, answer: V, now: float) -> float:
            refused = is_refusal(answer)
            return now + (REFUSALS_REMEMBERED_SECONDS if refused else REMEMBERED_SECONDS)

        self._cache: TLRUCache[K, V] = TLRUCache(REMEMBERED_ANSWERS, expiry, timer=clock)
        self._lock = threading.Lock()

    def get(self, key: K, ask: Callable[[], V]) -> V:
        """Return the cached answer, or that of `ask`, which is called without the lock."""
        with self._lock:
            found = self._cache.get(key)
        if found is None:
            found = ask()
            with self._lock:
                self._cache[key] = found
        return found


class KubernetesGate:
    """Authorizes by the API server of the cluster. `clock` counts seconds and never goes back.

    Tokens are accepted for `audience` alone; with `accept_cluster_tokens` also tokens for the API
    server.
    """

    def __init__(
        self,
        api: client.ApiClient,
        *,
        clock: Callable[[], float],
        audience: str = AUDIENCE,
        accept_cluster_tokens: bool = False,
    ) -> None:
        self._audience = audience
        self._accept_cluster_tokens = accept_cluster_tokens
        self._authentication = client.AuthenticationV1Api(api)
        self._authorization = client.AuthorizationV1Api(api)
        self._callers: Answers[bytes, Caller | str] = Answers(
            clock, is_refusal=lambda answer: isinstance(answer, str)
        )
        self._verdicts: Answers[tuple[Caller, str, str], bool] = Answers(
            clock, is_refusal=lambda allowed: not allowed
        )

    def admit(
        self, authorization: str | None, verbs: tuple[str, ...], namespaces: Sequence[str] = ()
    ) -> str:
        """Identify the caller and check each verb, in each namespace if some are named."""
        caller = self._caller(_bearer_token(authorization))
        for verb in verbs:
            for namespace in namespaces or (EVERY_NAMESPACE,):
                ask = partial(self._review_access, caller, verb, namespace)
                if not self._verdicts.get((caller, verb, namespace), ask):
                    raise ForbiddenError(_refusal(caller, verb, namespace))
        return caller.name

    def _caller(self, token: str) -> Caller:
        # The cache is keyed by digest, so that a dump of the memory holds few tokens.
        key = hashlib.sha256(token.encode()).digest()
        answer = self._callers.get(key, lambda: self._review_token(token))
        if isinstance(answer, str):
            raise UnauthenticatedError(answer)
        return answer

    def _review_token(self, token: str) -> Caller | str:
        status = self._token_status(token, audiences=[self._audience])
        # An API server or token webhook that ignores audiences returns none.
        known = _is_authenticated(status) and self._audience in (status.audiences or ())
        if not known and self._accept_cluster_tokens:
            status = self._token_status(token, audiences=None)
            known = _is_authenticated(status)
        if not known:
            return (
                "the bearer token is not valid in this cluster, has expired, or is not for the"
                f" audience {self._audience}; kubectl create token NAME"
                f" --audience={self._audience} issues one that is"
            )
        user = status.user
        extra = {key: tuple(values) for key, values in (user.extra or {}).items()}
        return Caller(
            name=user.username or "",
            uid=user.uid or "",
            groups=tuple(user.groups or ()),
            extra=tuple(sorted(extra.items())),
        )

    def _token_status(self, token: str, *, audiences: list[str] | None) -> Any:
        review = client.V1TokenReview(
            spec=client.V1TokenReviewSpec(token=token, audiences=audiences)
        )
        return _ask(
            lambda: self._authentication.create_token_review(
                review, _request_timeout=TIMEOUT_SECONDS
            )
        ).status

    def _review_access(self, caller: Caller, verb: str, namespace: str) -> bool:
        review = client.V1SubjectAccessReview(
            spec=client.V1SubjectAccessReviewSpec(
                user=caller.name,
                uid=caller.uid,
                groups=list(caller.groups),
                extra={key: list(values) for key, values in caller.extra},
                resource_attributes=client.V1ResourceAttributes(
                    group=GROUP, resource=RESOURCE, verb=verb, namespace=namespace or None
                ),
            )
        )
        status = _ask(
            lambda: self._authorization.create_subject_access_review(
                review, _request_timeout=TIMEOUT_SECONDS
            )
        ).status
        return bool(status and status.allowed)


def _refusal(caller: Caller, verb: str, namespace: str) -> str:
    if namespace:
        return (
            f"{caller.name} may not {verb} {RESOURCE}.{GROUP} in the namespace {namespace}; a Role"
            " there with that verb on that resource, bound to them, allows it"
        )
    return (
        f"{caller.name} may not {verb} {RESOURCE}.{GROUP} in all namespaces; a ClusterRole with"
        " that verb on that resource, bound to them, allows it. To read one namespace needs a Role"
        " there; lists then take ?namespace=NAME"
    )


def _is_authenticated(status: Any) -> bool:
    return bool(status and status.authenticated and status.user)


def _bearer_token(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError(
            "log in with Authorization: Bearer and the token of a ServiceAccount or user, such as"
            f" kubectl create token NAME --audience={AUDIENCE} prints"
        )
    return token.strip()


def _ask(call: Callable[[], V]) -> V:
    try:
        return call()
    except ApiException as error:
        # Its reason and body may repeat the token, and this text is answered and logged.
        raise UnavailableError(
            f"the Kubernetes API server answered {error.status} when asked about the caller; the"
            " registry's ServiceAccount needs system:auth-delegator"
        ) from error
    except (ValueError, TypeError, AttributeError):
        # Not chained: the message repeats parts of the answer, and an answer repeats the token.
        raise UnavailableError(
            "the Kubernetes API server's answer about the caller can't be read; check that the"
            " server of the kubeconfig is one"
        ) from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnavailableError(
            "the Kubernetes API server can't be reached to check the caller"
        ) from error


def cluster_api() -> client.ApiClient:
    """Return a client of the cluster. Raises AuthenticationSetupError if there is no cluster."""
    try:
        return connect()
    except KubeconfigError as error:
        raise AuthenticationSetupError(
            f"--auth-mode kubernetes needs a cluster: {error}"
        ) from error
