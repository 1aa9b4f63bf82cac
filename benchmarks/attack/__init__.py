"""Hostile and unlucky clients against a real server: what each request got, and what was left
hanging."""
