"""The risk gateway against a proxy in Go that only signs, and against no gateway at all."""
