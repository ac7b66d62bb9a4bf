"""The admission server: the API server calls it before it stores a TradingBot or AssetRegistry.

`wire` reads and writes AdmissionReviews, `admission` decides (pure), `app` answers requests, `http`
is the HTTP server with its limits, `tls` reloads the certificate, `server` runs the process.
"""
