"""Benchmarks: each is `python -m bench.<name>` and writes its numbers with `--json OUT`."""
