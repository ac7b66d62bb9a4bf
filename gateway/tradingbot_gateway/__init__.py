"""The risk gateway: a bot's only way to an exchange."""
