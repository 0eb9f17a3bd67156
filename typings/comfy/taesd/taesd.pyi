import torch

class TAESD(torch.nn.Module):
    """A tiny autoencoder for Stable Diffusion's latents."""

    taesd_encoder: torch.nn.Sequential
    taesd_decoder: torch.nn.Sequential
    vae_scale: torch.nn.Parameter
    vae_shift: torch.nn.Parameter
    def __init__(self, *, latent_channels: int = 4) -> None: ...
