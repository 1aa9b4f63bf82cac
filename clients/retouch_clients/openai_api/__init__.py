"""The OpenAI-compatible server: `POST /v1/images/edits` before a running tritonserver, for OpenAI's
clients."""
