"""What the gateway decides, without I/O and without a clock.

Facts come in as events, quotes and settings; verdicts, actions and figures come out. `Desk` puts
the parts together and is what a server drives. Times are milliseconds since the epoch, money is one
quote currency, figures are exact decimals.
"""
