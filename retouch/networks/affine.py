"""The prediction "affine": what becomes of each of the source's tokens.

A token's latents keep their places. Their channels go through one affine map, which acts more or
less on each latent, and a residual is added. So a change of tone, or of a flat colour, is a few
numbers of a token. Local affine maps of colour are also what edits an image in Gharbi et al. 2017,
"Deep bilateral learning for real-time image enhancement"."""

from torch import Tensor


def affine_width(channels: int, width: int) -> int:
    """How many numbers are predicted for a token of `width` numbers in `channels` channels."""
    return sum(_parts(channels, width))


def clean_tokens(predicted: Tensor, source: Tensor, channels: int) -> Tensor:
    """The clean tokens [B, N, width] from the prediction [B, N, affine_width] for the `source`'s
    tokens [B, N, width], whose channels come one after another. A prediction of zeros changes
    nothing."""
    parts = predicted.split(_parts(channels, source.shape[-1]), -1)
    matrix, offset, strength, residual = parts
    latents = source.unflatten(-1, (1, channels, -1))
    products = matrix.unflatten(-1, (channels, channels, 1)) * latents
    change = products.sum(-2) + offset.unsqueeze(-1)
    return source + ((1 + strength).unsqueeze(-2) * change).flatten(-2) + residual


def _parts(channels: int, width: int) -> list[int]:
    """Of the map's matrix, its offset, its strength at every latent, and the residual."""
    return [channels * channels, channels, width // channels, width]
