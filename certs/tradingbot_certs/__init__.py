"""The webhook's own certificate authority, where cert-manager is absent.

`authority` issues and `plan` decides, both pure and both told the time; `directory` and `secret`
store; `injection` makes the API server trust what was issued; `main` strings them together.
"""
