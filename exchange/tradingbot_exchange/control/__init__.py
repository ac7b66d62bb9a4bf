"""The control port: faults, the market and statements of accounts, for people and tests."""
