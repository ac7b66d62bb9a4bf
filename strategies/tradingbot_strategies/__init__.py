"""Five trading strategies, and the runtime that runs one of them in a bot's pod.

They are examples to read and tools to run, not promises of profit.
"""
