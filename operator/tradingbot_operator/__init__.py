"""The operator: keeps every bot's children as declared, and the registry in step with the cluster.

The rooms, from the top; each imports only what is below it (`make lint` checks this):

    main                      wires the parts together and runs them
    bots, asset_registries    one reconciler for each kind
    risk, leadership          polls and judges the losses of bots; elects the operator that acts
    cluster                   client, watches, cache and queue: what any controller needs
    schedule, fencing         trading hours and days; the guard of every write
"""

FIELD_MANAGER = "tradingbot-operator"
FINALIZER = "trading.io/cleanup"
BOT_LABEL = "trading.io/bot"
RESTART_HASH = "trading.io/restart-hash"
ROLLOUT = "trading.io/rollout"
CREDENTIALS = "trading.io/credentials"
"""Annotation of a bot's Deployment: the state of its Secret, for an operator that restarts."""
CONFIG_KEY = "bot.json"
"""Key of a bot's ConfigMap that holds its configuration."""
MANAGED_BY = {"app.kubernetes.io/managed-by": FIELD_MANAGER}
CHILD_KINDS = ("ConfigMap", "Deployment", "Service", "PersistentVolumeClaim", "NetworkPolicy")
"""The kinds of a bot's children, in the order in which they are observed."""
BOT_UID = "trading.io/bot-uid"
"""Annotation of a PersistentVolumeClaim: the bot that it belongs to, also without an owner."""
ADDED_METADATA = "trading.io/added-metadata"
"""Annotation of a child: the keys of the labels and annotations that come from spec.pod."""
UNREADABLE = "unreadable"
"""Key of an object that can't be read and is kept as a stub; its value is the reason."""
RESTORE_STATUS = "velero.io/restore-status"
"""Annotation that makes a backup tool restore the status, and with it a daily loss halt."""
