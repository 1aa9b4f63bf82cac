from retouch.serving.triton.preprocess_model import PreprocessModel


class TritonPythonModel(PreprocessModel):
    """Decodes, checks and fits a request of the ensemble."""
