"""Load on a running server, for `retouch bench` and `retouch perf`."""
