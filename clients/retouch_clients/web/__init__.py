"""The web page of Retouch, made with Gradio."""

from retouch.util import env

# set before any import of Gradio: the page makes no requests to the internet
env.disable(env.GRADIO_ANALYTICS, env.HUB_TELEMETRY, env.HUB_OFFLINE)
