"""Triton's Python backend: the only folder that knows `triton_python_backend_utils`."""
