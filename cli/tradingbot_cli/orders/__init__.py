"""`tradingbot orders`: show what a risk gateway let through, refused and did by itself."""
