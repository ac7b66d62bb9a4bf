"""The certificate authority of webhooks and registry, for clusters without cert-manager.

`authority` issues, `state` interprets what is stored, and `plan` decides the next step: all pure,
with the time as an argument. `rotation` reads, asks `plan` and executes the step. It works through
`directory` or `secret` (storage), `injection` (caBundle) and `replicas` (the certificates that the
servers serve). `main` wires the parts.
"""
