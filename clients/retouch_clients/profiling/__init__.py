"""`retouch profile`: the time and memory of a denoising step."""
