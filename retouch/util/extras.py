"""Optional dependencies: an extra that is not installed is named with the command that installs
it."""

from __future__ import annotations

from importlib.util import find_spec

# a module of each extra, by which it is known to be installed
MODULES = {
    "serve": ("onnxruntime", "tokenizers"),  # the server itself: retouch.launcher.tritonserver
    "export": (
        "torch",
        "diffusers",
        "transformers",
        "peft",
        "onnx",
        "onnx_ir",
        "onnxscript",
        "huggingface_hub",
    ),
    "openai": (
        "fastapi",
        "uvicorn",
        "orjson",
        "prometheus_client",
        "python_multipart",
        "sqlalchemy",
    ),
    "web": (
        "gradio",
        "fastapi",
        "uvicorn",
        "orjson",
        "prometheus_client",
        "python_multipart",
        "sqlalchemy",
    ),
    "feedback": ("sqlalchemy", "sklearn", "scipy"),
    "postgres": ("psycopg",),
    "heic": ("pillow_heif",),
    "torch": ("torch", "diffusers", "transformers", "onnx_ir"),
    "tensorrt": ("tensorrt", "cuda", "ml_dtypes"),
}


class MissingExtraError(RuntimeError):
    """A package of an extra is not installed."""


def missing(extra: str) -> list[str]:
    """Modules of `extra` that are not installed."""
    return [name for name in MODULES[extra] if find_spec(name) is None]


def install_command(extra: str) -> str:
    return f"pip install 'retouch[{extra}]'"


def message(extra: str, module: str) -> str:
    return f"{module} is not installed; run {install_command(extra)}"


def check(extra: str) -> None:
    """MissingExtraError when a module of `extra` is not installed."""
    if modules := missing(extra):
        raise MissingExtraError(message(extra, modules[0]))
