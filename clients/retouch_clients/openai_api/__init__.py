"""The OpenAI-compatible server: `POST /v1/images/edits` in front of a running tritonserver."""
