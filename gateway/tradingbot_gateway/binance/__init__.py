"""The gateway in Binance's dialect: REST, market streams and the WebSocket API."""
