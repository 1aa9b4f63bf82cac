"""The benchmark report: what a server is worth on this machine, measured by other people's tools
and written for readers."""
