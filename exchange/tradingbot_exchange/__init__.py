"""Simulated exchanges: a matching engine, seeded markets, and the exchanges' own APIs."""
