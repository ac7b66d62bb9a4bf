"""Pods of our own images, run as processes of this machine: the kubelet of the simulated node.

kwok marks pods as running and runs nothing. This package runs the pods whose images are in
`images.IMAGES`, and kwok leaves these alone. `agent` follows the pods of the node, `worker` keeps
one pod as declared, `shim` is the parent of one container's process. The rest is pure: `plan`,
`environment`, `volumes`, `backoff`, `status`.

A process is not isolated. It has the rights of the user who runs `make up`.
"""
