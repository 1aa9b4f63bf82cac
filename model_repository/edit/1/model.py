from retouch.serving.triton.endpoint_model import StreamingEndpoint


class TritonPythonModel(StreamingEndpoint):
    """Streams the answers of an edit."""
