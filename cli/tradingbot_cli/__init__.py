"""`tradingbot`, the one console script. Each part is imported only when its command is given."""
