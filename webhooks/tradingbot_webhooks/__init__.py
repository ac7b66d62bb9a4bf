"""The admission server: asked by the API server before a TradingBot or AssetRegistry is stored.

`wire` is what goes over it, `admission` decides (pure), `app` answers HTTP, `http_server` holds
clients to limits, `tls` follows the certificate, `worker` runs one process and `server` starts it.
"""
