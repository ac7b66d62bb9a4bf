"""The gateway in the dialect of Coinbase Advanced."""
