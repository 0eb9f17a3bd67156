"""What `install.py` does: link the pack into a ComfyUI, say which model files are there and fit, fetch what is missing.

Runs on bare Python 3.10 or newer: the standard library alone, since it comes before anything is installed.
"""
