"""Nodes that read a companion's memory over HTTP. What they compute imports without ComfyUI."""
