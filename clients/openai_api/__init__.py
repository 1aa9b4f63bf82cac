"""The OpenAI-compatible server: `POST /v1/images/edits` before a running tritonserver, so that OpenAI's own clients edit here."""
