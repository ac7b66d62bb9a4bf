"""`tradingbot doctor`: find faults of an installation, and say what to do.

`expected` is what this version installs, `collect` reads the cluster, `diagnosis` judges the facts,
and `report` prints the findings. Judgement is pure: facts and time are arguments.
"""
