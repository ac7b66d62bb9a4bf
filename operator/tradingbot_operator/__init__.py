"""The operator: keeps every bot's children as declared and the registry in step with the cluster.

What should be is computed by pure modules (`plan`, `desired`, `hours`, `risk`, `status`);
`reconcile` and `catalogue` look, decide and apply; `watches` feeds them, `leading` lets one act.
"""

FIELD_MANAGER = "tradingbot-operator"
FINALIZER = "trading.io/cleanup"
BOT_LABEL = "trading.io/bot"
RESTART_HASH = "trading.io/restart-hash"
ROLLOUT = "trading.io/rollout"
CREDENTIALS = "trading.io/credentials"
"""On a bot's Deployment: what was last seen of its Secret, for an operator that starts anew."""
MANAGED_BY = {"app.kubernetes.io/managed-by": FIELD_MANAGER}
