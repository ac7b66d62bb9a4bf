"""The market around an exchange: prices, liquidity, candles.

Prices are pure: the same seed and the same step give the same price, whenever it is asked for.
"""
