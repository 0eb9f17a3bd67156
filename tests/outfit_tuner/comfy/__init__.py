"""What runs inside ComfyUI's own Python, as a child process from ComfyUI's folder; see `child.py`."""
