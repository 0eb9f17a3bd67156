"""The outfit chain: checkpoint → character LoRA → FreeU → IP-Adapter, with versioned tuning and a reference cache.

The mathematics and the file formats are plain torch and Python that import without ComfyUI; `nodes/` is a thin layer
over them. What a socket carries is in `sockets.py`.
"""
