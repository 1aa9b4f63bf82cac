"""Description of a TensorRT plan in the manifest: its machine, its shapes, and its layers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from retouch.api.lanes import precision_of
from retouch.artifacts.manifest import ArtifactError, Manifest


@dataclass(frozen=True)
class Machine:
    """The GPU's name, its compute capability (major, minor), and the version of TensorRT."""

    gpu: str
    capability: tuple[int, int]
    tensorrt: str

    @property
    def release(self) -> tuple[int, int]:
        """TensorRT's major and minor version."""
        major, minor, *_ = self.tensorrt.split(".")
        return int(major), int(minor)


@dataclass
class PlanInfo:
    """A plan's entry in the manifest.

    `profiles` maps an input to its smallest, optimal and largest shape, for each optimisation
    profile. `bytes` are those of the plan file, `weight_bytes` those of the engine's weights as
    TensorRT counts them. `layers` counts matrix products by number format, and fused attention.
    `similarity` is the smallest cosine to ONNX Runtime's output, by output. `milliseconds` is the
    median of a run by lane, if lanes were compared. The weights of a `stripped` plan come from the
    graph's ONNX file. `part` is the stage, "" for the denoiser."""

    gpu: str
    capability: tuple[int, int]
    tensorrt: str
    precision: str
    profiles: list[dict[str, list[list[int]]]]
    bytes: int
    weight_bytes: int
    layers: dict[str, int]
    stripped: bool = False
    similarity: dict[str, float] = field(default_factory=dict)
    milliseconds: dict[str, float] = field(default_factory=dict)
    part: str = ""

    @classmethod
    def of(cls, manifest: Manifest, graph: str, part: str = "") -> PlanInfo:
        """The plan of `graph` in the manifest of a stage, "" for the denoiser; ArtifactError when
        there is none."""
        lane = manifest.precision
        try:
            return cls(**manifest.plans[graph])
        except KeyError:
            owner = f"{part} in {lane}" if part else f"the {lane} lane"
            raise ArtifactError(
                f"{owner} has no TensorRT plan of {graph}; {rebuild(lane, part)}"
            ) from None
        except TypeError:
            raise ArtifactError(
                f"the manifest's entry of the plan of {labelled(graph, part)} is damaged; "
                f"{rebuild(lane, part)}"
            ) from None

    def check(self, machine: Machine, graph: str) -> None:
        """ArtifactError unless the plan can run on `machine`.

        A plan only loads in the version of TensorRT that built it, patches included: plans of
        compatible builds lack the narrow kernels. It holds kernels for one compute capability."""
        major, minor = self.capability
        built = Machine(self.gpu, (major, minor), self.tensorrt)
        plan = f"the plan of {labelled(graph, self.part)}"
        remedy = rebuild(self.precision, self.part)
        if built.tensorrt != machine.tensorrt:
            raise ArtifactError(
                f"{plan} was built by TensorRT {built.tensorrt} and this is TensorRT "
                f"{machine.tensorrt}; {remedy}"
            )
        if built.capability != machine.capability:
            raise ArtifactError(
                f"{plan} was built for {described(built)} and this is {described(machine)}; "
                f"{remedy}"
            )

    def to_manifest(self) -> dict[str, Any]:
        """The manifest entry that `of` reads."""
        return asdict(self)


def described(machine: Machine) -> str:
    major, minor = machine.capability
    return f"{machine.gpu} (compute capability {major}.{minor})"


def labelled(graph: str, part: str) -> str:
    """A graph's name in messages: step, or vl_parser's language."""
    return f"{part}'s {graph}" if part else graph


def rebuild(lane: str, part: str = "") -> str:
    """How to build a plan of the denoiser, or of a `part`, that can run on this machine."""
    if part:
        return f"build it here with: retouch export CHECKPOINT --parts {lane} --tensorrt"
    adapter = lane.removeprefix(precision_of(lane))[1:]
    lora = f" --lora ADAPTER --lora-name {adapter}" if adapter else ""
    options = f"{precision_of(lane)}{lora} --tensorrt"
    return f"build it here with: retouch export CHECKPOINT --precision {options}"
