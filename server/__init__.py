"""The chat server: characters that remember, outside ComfyUI."""

__version__ = "0.1.0"
