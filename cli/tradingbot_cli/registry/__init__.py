"""`tradingbot registry`: the server, and the commands on its database."""
