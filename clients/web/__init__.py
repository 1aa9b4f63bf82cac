"""The web page of Retouch, served by Gradio on 127.0.0.1."""

import os

# before Gradio is imported anywhere: the page asks nobody on the internet for anything, and tells nobody
os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_OFFLINE="1")
