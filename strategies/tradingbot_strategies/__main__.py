"""`python -m tradingbot_strategies` is the command `tradingbot-strategies`."""

import sys

from tradingbot_strategies.main import main

sys.exit(main())
