"""All environment variables of Retouch: their names, defaults and meanings. Other modules read and
set them through this one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """Who sets a variable."""

    OPTION = "you may set it"
    INTERNAL = "Retouch sets it for its own processes"
    FOREIGN = "another program's variable, which Retouch reads or sets"


@dataclass(frozen=True)
class Variable:
    """One environment variable. Unset or empty, it stands for the text `default`."""

    name: str
    help: str
    default: str = ""
    kind: Kind = Kind.OPTION

    def get(self, environment: Mapping[str, str] | None = None) -> str:
        """The value in `environment`, by default the process's own; the default where it is unset
        or empty."""
        return (os.environ if environment is None else environment).get(self.name) or self.default

    def pop(self) -> str:
        """The value, which the process's children do not inherit."""
        value = self.get()
        os.environ.pop(self.name, None)
        return value

    @contextlib.contextmanager
    def set_to(self, value: str) -> Iterator[None]:
        """Set the process's own variable for the duration of a `with` block."""
        before = os.environ.get(self.name)
        os.environ[self.name] = value
        try:
            yield
        finally:
            os.environ.pop(self.name)
            if before is not None:
                os.environ[self.name] = before


URL = Variable(
    "RETOUCH_URL",
    "Address of the server for commands without `--url`: host:port. "
    "Unset: the running `retouch serve`, else 127.0.0.1:8001.",
)
REPOSITORY = Variable(
    "RETOUCH_REPOSITORY",
    "Model repository to serve. Unset: model_repository of the checkout; for an installed package, "
    "model_repository of the current folder.",
)
ADAPTERS = Variable(
    "RETOUCH_ADAPTERS",
    "Folder of the adapters that an edit may name (`retouch adapters`). "
    "Unset: adapters beside the model repository.",
)
RUNTIME = Variable(
    "RETOUCH_RUNTIME",
    "Folder for logs, secrets and the list of running servers. Unset: .runtime of the checkout if "
    "it is writable, else $XDG_STATE_HOME/retouch.",
)
TRITON = Variable(
    "RETOUCH_TRITON",
    "Folder of the tritonserver to start, such as /opt/tritonserver in NVIDIA's images. "
    "Unset: the wheel nvidia-pytriton, else /opt/tritonserver.",
)
THREADS = Variable("RETOUCH_THREADS", "Threads of one ONNX graph: a positive number.", "1")
DEVICE = Variable(
    "RETOUCH_DEVICE",
    "Device of the runners torch and onnx-cuda: cpu, cuda or cuda:N. Unset: a GPU if there is one.",
)
ORT_TENSORRT = Variable(
    "RETOUCH_ORT_TENSORRT",
    "Whether the runner onnx-cuda uses TensorRT's provider: 0 or 1. "
    "Unset: 1 where libnvinfer.so.10 can be loaded.",
)
COMPILE = Variable(
    "RETOUCH_COMPILE",
    "Whether the torch runner compiles: 0 or 1. Unset: 1 on a GPU, 0 on a CPU.",
)
OFFLOAD = Variable(
    "RETOUCH_OFFLOAD",
    "text keeps the text encoders in host memory and brings them to the GPU for a read "
    "(`retouch serve --offload text`). Unset: all parts stay on the GPU.",
)
WARMUP = Variable(
    "RETOUCH_WARMUP",
    "Sizes of the edits that a compiling runner runs before its model is ready: HEIGHTxWIDTH, "
    "separated by commas. Unset: none.",
)
GRAPHS = Variable(
    "RETOUCH_GRAPHS",
    "Folder of traced graphs that exports share, or 0 for none. "
    "Unset: $XDG_CACHE_HOME/retouch/graphs.",
)
API_KEYS = Variable(
    "RETOUCH_API_KEYS",
    "Keys that `retouch openai` accepts, separated by commas. Unset: no key is needed.",
)
JUDGE_KEY = Variable(
    "RETOUCH_JUDGE_KEY",
    "Key that `retouch evaluate` sends to the judge. Unset: no key is sent.",
)
API_KEY = Variable(
    "RETOUCH_API_KEY",
    "Key that `retouch feedback send` sends to `retouch openai`. Unset: no key is sent.",
)
FEEDBACK = Variable(
    "RETOUCH_FEEDBACK",
    "Store of feedback (`--feedback`, `--store`): a SQLite file, or "
    "postgresql://USER:PASSWORD@HOST/DATABASE. Unset: no feedback is taken.",
)
WEB_PASSWORD = Variable(
    "RETOUCH_WEB_PASSWORD", "Password of the page (`retouch web`). Unset: no password."
)

BOARD = Variable(
    "RETOUCH_BOARD",
    "Prefix of the paths of the lanes' load reports. Unset: a prefix in the temporary folder.",
    kind=Kind.INTERNAL,
)
GUARD = Variable(
    "RETOUCH_GUARD",
    "JSON with what the supervisor watches and removes.",
    "{}",
    kind=Kind.INTERNAL,
)
DASHBOARDS = Variable(
    "RETOUCH_DASHBOARDS",
    "Folder of the dashboards that Grafana loads (`retouch monitor`).",
    kind=Kind.INTERNAL,
)
PROMETHEUS = Variable(
    "RETOUCH_PROMETHEUS",
    "Address of the Prometheus that Grafana reads (`retouch monitor`).",
    kind=Kind.INTERNAL,
)

ORT_TELEMETRY = Variable(
    "ORT_DISABLE_TELEMETRY", "1 turns off the telemetry of ONNX Runtime.", "1", Kind.FOREIGN
)
GRADIO_ANALYTICS = Variable(
    "GRADIO_ANALYTICS_ENABLED", "False turns off the analytics of Gradio.", "False", Kind.FOREIGN
)
HUB_TELEMETRY = Variable(
    "HF_HUB_DISABLE_TELEMETRY", "1 turns off the telemetry of huggingface_hub.", "1", Kind.FOREIGN
)
HUB_OFFLINE = Variable(
    "HF_HUB_OFFLINE", "1 forbids huggingface_hub any request, in the page.", "1", Kind.FOREIGN
)
GRADIO_FOLDER = Variable(
    "GRADIO_TEMP_DIR", "Folder of the page's uploads and results.", kind=Kind.FOREIGN
)
STATE_HOME = Variable(
    "XDG_STATE_HOME",
    "Parent of the runtime folder where the checkout is read-only. Unset: ~/.local/state.",
    kind=Kind.FOREIGN,
)
CACHE_HOME = Variable(
    "XDG_CACHE_HOME",
    "Parent of the folders of traced graphs, of links to the Hub's checkpoints and of TensorRT's "
    "engines. Unset: ~/.cache.",
    kind=Kind.FOREIGN,
)
HOME = Variable("HOME", "The user's home folder.", os.sep, Kind.FOREIGN)
PATH = Variable("PATH", "The server's stubs find this Python first.", kind=Kind.FOREIGN)
LIBRARIES = Variable(
    "LD_LIBRARY_PATH",
    "The server's stubs find this Python's library first.",
    kind=Kind.FOREIGN,
)
LOCALE = Variable("LC_ALL", "C.UTF-8 for the server where no locale is UTF-8.", kind=Kind.FOREIGN)

VARIABLES = tuple(value for value in list(globals().values()) if isinstance(value, Variable))


def disable(*variables: Variable) -> None:
    """Set variables of other programs to the default here, which keeps them from the network."""
    os.environ.update({variable.name: variable.default for variable in variables})


def disable_unless_set(variable: Variable) -> None:
    os.environ.setdefault(variable.name, variable.default)


def of_child(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child process: this process's own, with `changes`."""
    return {**os.environ, **(changes or {})}
