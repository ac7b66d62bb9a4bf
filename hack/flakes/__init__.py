"""Run tests in CI: a test that failed runs a second time, alone, and is reported if it passes."""

LIST_VARIABLE = "TRADINGBOT_FLAKY_TESTS"
"""The environment variable that names the file with the names of the tests that were flaky."""
