from retouch.serving.triton.endpoint_model import UnaryEndpoint


class TritonPythonModel(UnaryEndpoint):
    """The same edits with exactly one response each."""
