"""`tradingbot assets`: read and change the assets of a registry."""
