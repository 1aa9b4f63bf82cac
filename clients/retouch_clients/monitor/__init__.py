"""Prometheus and Grafana for `retouch monitor`."""
