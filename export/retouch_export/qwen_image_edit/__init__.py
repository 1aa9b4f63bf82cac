"""Qwen-Image-Edit's parts: Qwen2.5-VL, the one-frame autoencoder and the diffusion transformer."""
