"""Faults of a simulated exchange: in its market, its clock, its answers and its streams."""
