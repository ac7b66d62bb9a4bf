"""Binance spot: parsing, writing and signing without I/O, and an application that serves a venue.

`app` and the modules that it needs import aiohttp. A client or a gateway uses `parameters`,
`signing`, `framing`, `calls`, `orders`, `shapes`, `user_events` and `errors`, which do not.
"""
