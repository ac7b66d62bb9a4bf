"""Coinbase Advanced: REST `/api/v3/brokerage`, what clients need of `/v2`, and the WebSocket feeds.

`app.application` serves a venue. The modules that parse, write, sign and check signatures know
nothing of HTTP servers: a gateway between a client and the exchange uses them, too.
"""
