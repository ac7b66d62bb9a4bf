"""How each process finds the cluster: a kubeconfig, or the ServiceAccount of its pod.

`source` decides which, and words the errors, with nothing but PyYAML: the operator connects through
kopf and does not load the client library. `client` makes a client of that library.
"""
