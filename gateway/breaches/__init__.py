"""A search for breaches: the gateway's core against a simulated exchange, judged by a checker."""
