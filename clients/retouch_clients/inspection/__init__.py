"""The output of `retouch inspect`."""
