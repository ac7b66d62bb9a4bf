"""The webhook's own certificate authority, where cert-manager is absent.

`authority` issues, `state` reads what is stored and `plan` decides what is next, all pure and all
told the time. `rotation` looks, asks `plan` and does it, through `directory` or `secret`, which
store, `injection`, which makes the API server trust, and `replicas`, which asks the webhook servers
what they show. `main` strings them together.
"""
