"""User-facing programs: the command line, the OpenAI-compatible server and the web page."""
