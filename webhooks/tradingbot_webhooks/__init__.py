"""The admission server: asked by the API server before a TradingBot or AssetRegistry is stored.

`wire` is what goes over it, `admission` decides (pure), `app` answers reviews, `http_connection`
speaks HTTP and holds clients to limits, `http_server` listens, `tls` follows the certificate,
`worker` runs one process and `server` starts it.
"""
