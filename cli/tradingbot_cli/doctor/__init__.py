"""`tradingbot doctor`: what is wrong with an installation, and what to do about it.

`expected` is what this version installs, `collect` looks at the cluster, `diagnosis` judges what
was seen, and `report` prints it. Judgement is pure: what was seen and the time go in.
"""
