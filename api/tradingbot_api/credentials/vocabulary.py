"""The words that names are made of: those that name a secret, and those that only speak about one.

All words are in lower case. `names` splits a name into words before it compares.
"""

STEMS = (
    *("password", "passwd", "passphrase", "passwort", "kennwort", "credential", "mnemonic"),
    *("apikey", "apisecret", "secretkey", "accesskey", "privatekey", "privkey", "signingkey"),
    *("accesstoken", "authtoken", "refreshtoken", "bearertoken", "clientsecret", "seedphrase"),
)
"""Each names a secret, also inside a longer run of letters: `mydbpassword`, `BINANCEAPIKEYS`."""

SECRETS = frozenset(
    {
        *STEMS,
        *("secret", "secrets", "token", "pwd", "pwds", "pass", "passcode", "passkey", "psk"),
        *("cred", "creds", "bearer", "jwt", "authorization", "cookie", "otp", "totp"),
    }
)
"""Each names a secret as a word of its own."""

ENDINGS = ("token", "secret", "pwd")
"""Each names a secret also at the end of a run of letters: `telegramtoken`, `jwtsecret`, `dbpwd`.
At the beginning it does not: `tokenizer`, `secretary`."""

_BEFORE_KEY = frozenset(
    {
        *("api", "access", "secret", "private", "priv", "signing", "encryption", "decryption"),
        *("master", "account", "shared", "service", "auth", "client", "consumer", "session"),
        *(
            "ssh",
            "gpg",
            "pgp",
            "rsa",
            "tls",
            "ssl",
            "jwt",
            "hmac",
            "subscription",
            "app",
            "wallet",
            "trading",
            "exchange",
            "license",
            "licence",
            "server",
            "signer",
            "aes",
            "deploy",
        ),
        *("binance", "coinbase", "kraken", "bybit", "okx", "kucoin", "bitget", "bitfinex"),
        *("bitmex", "deribit", "gemini", "huobi", "gateio", "mexc", "bitstamp", "hyperliquid"),
        *("openai", "anthropic", "infura", "alchemy", "etherscan", "coingecko", "coinmarketcap"),
        *("finnhub", "sendgrid", "mailgun", "twilio", "stripe", "datadog", "pagerduty", "sentry"),
    }
)
_BEFORE_PHRASE = frozenset({"seed", "recovery", "backup", "secret", "wallet", "pass"})
_BEFORE_SEED = frozenset({"wallet", "master", "hd", "bip", "root", "private"})

PAIRS = frozenset(
    {
        *((first, key) for first in _BEFORE_KEY for key in ("key", "keys")),
        *((first, last) for first in _BEFORE_PHRASE for last in ("phrase", "phrases", "words")),
        *((first, "seed") for first in _BEFORE_SEED),
        *(("pass", last) for last in ("word", "words", "wd", "code", "key")),
        *(("api", "secret"), ("pin", "code"), ("basic", "auth"), ("access", "code")),
    }
)
"""Two words that together name a secret, though neither does so alone. A key is only one of some
kinds: a primary key or a routing key is none, and a seed is mostly that of a random generator."""

BEFORE_PASS = frozenset(
    {
        *("db", "database", "user", "admin", "root", "smtp", "mail", "email", "mysql", "pg"),
        *("postgres", "redis", "mongo", "rabbitmq", "amqp", "mqtt", "http", "proxy", "ftp"),
        *("ssh", "api", "login", "auth", "account", "key", "keystore", "basic", "broker"),
        *("exchange", "my", "wallet", "rpc", "kafka", "ldap", "app", "service"),
    }
)
"""After one of these, `pass` and `pw` are a password; elsewhere it may be a filter: `highPass`."""

ABOUT_AFTER = frozenset(
    {
        # references
        *("name", "names", "path", "paths", "file", "files", "filename", "dir", "directory"),
        *("ref", "refs", "reference", "references", "env", "variable", "url", "urls", "uri"),
        *("endpoint", "endpoints", "host", "location", "source", "store", "storage", "from"),
        *("id", "ids", "identifier", "alias", "label", "labels", "tag", "arn", "mount", "vault"),
        *("manager", "provider", "service", "backend", "engine", "bucket", "issuer", "audience"),
        # forms
        *("header", "headers", "field", "fields", "param", "params", "parameter", "parameters"),
        *("key", "keys", "var", "namespace", "domain", "language", "owner", "group", "groups"),
        *("encoder", "decoder", "generator", "resolver", "handler", "parser", "factory", "config"),
        *("settings", "options", "stats", "percentage", "percent", "title", "category", "class"),
        *("column", "type", "types", "kind", "format", "prefix", "suffix", "pattern", "regex"),
        *("algorithm", "alg", "encoding", "separator", "delimiter", "scheme", "model", "version"),
        *("template", "placeholder", "prompt", "hint", "help", "description", "docs", "message"),
        *("error", "errors", "in", "position"),
        # rules and measures
        *("policy", "policies", "rule", "rules", "strength", "complexity", "length", "len", "size"),
        *("min", "max", "limit", "limits", "count", "counts", "total", "number", "budget", "usage"),
        *("cost", "rate", "ttl", "expiry", "expires", "expiration", "expire", "lifetime", "age"),
        *("timeout", "interval", "period", "days", "hours", "minutes", "seconds", "ms", "time"),
        *("date", "timestamp", "at", "schedule", "rotation", "rotate", "renewal", "history"),
        *("enabled", "disabled", "required", "optional", "allowed", "supported", "mode", "state"),
        *("status", "scope", "scopes", "role", "roles", "permissions", "cache", "retries"),
        *("validation", "validator", "check", "reset", "less", "characters", "chars", "digits"),
        *("refresh", "before", "leeway", "skew", "window", "scan", "scanning", "masking", "claim"),
        *("claims", "stdin", "fd", "jar", "consent", "secure", "site", "only", "per"),
        # assets that are called tokens
        *("a", "b", "universe", "ring", "map", "mapping", "index", "basket"),
        *("symbol", "symbols", "ticker", "tickers", "address", "addresses", "decimals", "mint"),
        *("precision", "price", "prices", "amount", "amounts", "balance", "balances", "supply"),
        *("pair", "pairs", "list", "lists", "standard", "contract", "contracts", "chain"),
        *("network", "metadata", "pool", "pools", "swap", "swaps", "weight", "weights", "info"),
        *("whitelist", "blacklist", "allowlist", "denylist", "filter", "volume", "liquidity"),
        *("allocation", "holdings", "holders", "program", "ratio", "share", "sale", "out"),
    }
)
"""After a word that names a secret: the name is that of something about it. `passwordPolicy`."""

ABOUT_A_TOKEN_AFTER = frozenset(
    {
        *("account", "accounts", "order", "orders", "set", "sets", "to", "x", "y", "registry"),
        *("risk", "risks", "exposure", "spread", "slippage", "depth", "score", "rank", "ranking"),
        *("sentiment", "volatility", "momentum", "trend", "correlation", "beta", "yield", "apy"),
        *("apr", "fee", "fees", "tax", "cap", "reward", "rewards", "reserve", "reserves", "burn"),
        *("emission", "emissions", "decay", "unlock", "unlocks", "launch", "creator", "sector"),
        *("transfer", "transfers", "bridge", "router", "source", "destination", "blocklist"),
        *("delay", "throttle", "bucket", "buckets", "rates", "review", "step", "steps"),
    }
)
"""After `token` alone, which in trading is mostly an asset. After other words that name a secret,
these may say what that is for: `apiKeyMomentum`, `secretAccount2`."""

DESCRIBES = frozenset({"realm", "username", "user", "optional", "owner", "exchange", "note"})
"""Keys in a mapping under the name of a credential that describe it as well."""

ABOUT_BEFORE = frozenset(
    {
        *("max", "min", "num", "number", "count", "total", "n", "avg", "is", "has", "have", "use"),
        *("uses", "using", "enable", "enables", "enabled", "disable", "disabled", "require"),
        *("requires", "required", "needs", "allow", "allows", "allowed", "without", "no", "skip"),
        *("ignore", "hide", "mask", "redact", "show", "public", "pull", "supports", "supported"),
        "per",
    }
)
"""Before such a word: the name is that of a number, a switch, or a list. `useToken`."""

TOKEN_OF_A_CHAIN = frozenset(
    {
        *("base", "quote", "in", "out", "input", "output", "from", "to", "fee", "gas", "native"),
        *("stable", "governance", "reward", "lp", "pool", "collateral", "debt", "wrapped"),
        *("staking", "staked", "underlying", "payment", "settlement", "erc20", "spl", "utility"),
        *("meme", "target", "traded", "buy", "sell", "deposit", "borrow", "pair", "coin"),
        *("source", "src", "destination", "dst", "first", "second", "left", "right", "long"),
        *("short", "margin", "hedge", "benchmark", "fungible"),
    }
)
"""Directly before `token`: an asset on a chain."""

IDENTIFIES = frozenset(
    {
        *("hash", "hashes", "id", "ids", "uuid", "guid", "digest", "checksum", "sha", "sha1"),
        *("sha256", "sha512", "md5", "commit", "revision", "rev", "ref", "address", "addresses"),
        *("tx", "txid", "txn", "transaction", "block", "root", "topic", "market", "condition"),
        *("pool", "contract", "public", "pubkey", "pub", "fingerprint", "thumbprint", "etag"),
        *("cid", "version", "image", "mint", "program", "token", "cert", "certificate", "ca"),
        *("url", "uri", "path", "file", "arn", "model", "name", "symbol", "symbols", "trace"),
    }
)
"""In a name whose value is random and known to everybody: hashes, identifiers, addresses."""

HALF_OF_A_PAIR = ("access", "key", "id")
"""The one identifier that is handled like its secret: leaks of the one mostly leak both."""

OF_A_PRIVATE_KEY = frozenset({"key", "seed", "wallet", "signer", "signing", "private", "account"})
"""In a name whose value, if it is 32 random bytes, is a private key and not a hash."""

HINTS = (
    *("pass", "pw", "secret", "token", "key", "cred", "mnemonic", "kennwort", "psk", "bearer"),
    *("jwt", "authorization", "cookie", "phrase", "words", "seed", "code", "otp", "auth"),
)
"""One of these is in every name that names a secret: a quick search that clears most names. Letters
alone."""
