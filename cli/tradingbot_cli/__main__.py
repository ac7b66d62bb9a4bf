"""`python -m tradingbot_cli`: the same as `tradingbot`."""

import sys

from tradingbot_cli.main import main

sys.exit(main())
