"""Draw the picture of the README: a terminal, with what real commands printed."""
