"""A checkpoint in diffusers layout becomes ONNX graphs in a Triton model repository."""
