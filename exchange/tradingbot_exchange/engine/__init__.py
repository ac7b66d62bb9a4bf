"""The matching engine: pure, without I/O, clock or randomness.

Time comes in with every call, in milliseconds since the epoch. The same calls give the same orders,
fills and balances.
"""
