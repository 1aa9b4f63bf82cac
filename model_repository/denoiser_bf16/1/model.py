from retouch.serving.triton.denoiser_model import DenoiserModel


class TritonPythonModel(DenoiserModel):
    """Denoises edits in this lane."""
