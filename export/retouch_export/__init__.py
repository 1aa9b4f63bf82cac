"""Export of a checkpoint in diffusers layout to ONNX graphs in a Triton model repository."""
