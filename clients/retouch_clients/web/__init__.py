"""The web page of Retouch, made with Gradio."""

import os

# before Gradio is imported anywhere: the page asks nobody on the internet for anything, and tells
# nobody
os.environ.update(
    GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_OFFLINE="1"
)
