"""What the way from an ask to a picture costs: `python -m bench.render`."""
