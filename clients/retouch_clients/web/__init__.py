"""The web page of Retouch, made with Gradio."""

from retouch.util import env

# before Gradio is imported anywhere: the page sends nothing to the internet
env.disable(env.GRADIO_ANALYTICS, env.HUB_TELEMETRY, env.HUB_OFFLINE)
