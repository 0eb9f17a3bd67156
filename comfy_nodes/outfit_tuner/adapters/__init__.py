"""IP-Adapter files: what is in them, and their weights.

The layouts are those of Ye et al. 2023 (arXiv:2308.06721) as published by its authors (`h94/IP-Adapter`). A file holds
an image projection (`image_proj.*`), which turns what the image encoder saw into image tokens, and one pair of key and
value matrices for each cross-attention layer of the UNet (`ip_adapter.N.to_k_ip.weight`, `…to_v_ip.weight`).
"""

from .layout import Kind, Layout, ResamplerSize, infer_layout, read_layout
from .loading import Adapter, load_adapter

__all__ = ["Adapter", "Kind", "Layout", "ResamplerSize", "infer_layout", "load_adapter", "read_layout"]
