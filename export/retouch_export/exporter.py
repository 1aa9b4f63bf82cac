"""A checkpoint's way into a model repository: its parts, then the denoiser's lanes; each appears
whole or not at all."""

from __future__ import annotations

import contextlib
import importlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import onnx
import onnx_ir as ir

from retouch.artifacts.manifest import FLOAT32, Manifest, publish, read, verify
from retouch_export.checkpoint import Checkpoint
from retouch_export.file_modes import make_like_parent, share
from retouch_export.graph import LARGEST, check
from retouch_export.linear import linears
from retouch_export.loaded import export
from retouch_export.meta_trace import Weights, save, save_without_weights, skeletons
from retouch_export.parts import OPSET, Part, versions
from retouch_export.policy import Tier
from retouch_export.quantise import bytes_by_tier, quantise
from retouch_export.ranges import FILE as CALIBRATION
from retouch_export.ranges import Range, Ranges
from retouch_export.ranges import write as write_ranges
from retouch_export.recipe import Recipe, recipe_for
from retouch_export.registration import register
from retouch_export.safetensors_index import TensorSource
from retouch_export.weights import NoWeights, StoredWeights

PREFIX = "model."  # how our wrappers name the network inside them
ARITHMETIC = {"bf16": "bfloat16", "fp8": "E4M3, bfloat16", "fp4": "E2M1, E4M3, bfloat16"}

Say = Callable[[str], None]


@dataclass
class Exporter:
    """`say` is told what is being done; `weightless` writes graphs only, which no server loads.
    Where the checkpoint has an adapter, the lanes are the adapter's."""

    checkpoint: Checkpoint
    sha256: str
    repository: Path
    say: Say = print
    weightless: bool = False

    def whole(self, part: Part) -> None:
        """A part around the denoiser."""
        module = importlib.import_module(part.module)
        if part.streams:
            self.streamed(part)
            return
        with self._publishing(
            part,
            "bf16",
            Manifest(
                self.checkpoint.family,
                self.sha256,
                "bf16",
                FLOAT32,
                OPSET,
                versions(),
                settings=module.settings(self.checkpoint),
            ),
        ) as staging:
            for graph in module.graphs(self.checkpoint):
                self.say(f"{part.name}: {graph.file}")
                export(graph, staging / graph.file)
                if graph.parameters > LARGEST:
                    self._say_uncompared(graph.parameters)
                else:
                    check(graph, staging / graph.file)
            module.files(self.checkpoint, staging)

    def lane(self, precision: str) -> str:
        """The name of the denoiser's lane."""
        adapter = self.checkpoint.adapter
        return adapter.lane(precision) if adapter else precision

    def streamed(self, part: Part) -> dict[str, int]:
        """A part whose weights are not loaded, the denoiser's bf16 lane above all; their bytes by
        tier."""
        module = importlib.import_module(part.module)
        self.say(f"{part.name}_{self.lane('bf16')}: tracing")
        models = skeletons(
            lambda: module.graphs(self.checkpoint, outline=True), self._weights(module)
        )
        weights = _bytes(models)
        with self._publishing(
            part, self.lane("bf16"), self._manifest(part, "bf16", weights)
        ) as staging:
            self._write(models, staging, part, "bf16")
            if not self.weightless:
                module.files(self.checkpoint, staging)
                self._compare(module, weights, staging)
        return weights

    def narrow(
        self, part: Part, precision: str, ranges: Ranges, recipe: Recipe | None = None
    ) -> dict[str, int]:
        """A narrow lane of the denoiser, from its bf16 lane, by the best recipe that `ranges` allow
        or by `recipe`; its weights' bytes by tier."""
        recipe = recipe or recipe_for(ranges)
        source = part.folder(self.repository, self.lane("bf16"))
        models = {path.stem: ir.load(path) for path in sorted(source.glob("*.onnx"))}
        for name, model in models.items():
            some = (
                {linear.module: Range(1.0) for linear in linears(model)} if self.weightless else {}
            )
            quantise(model, precision, ranges.get(name, some), recipe)
        weights = _bytes(models)
        manifest = self._manifest(part, precision, weights)
        if Tier.NVFP4.value in weights:
            manifest.settings["recipe"] = asdict(recipe)
        with self._publishing(part, self.lane(precision), manifest) as staging:
            self._write(models, staging, part, precision)
            if not self.weightless:
                _copy_beside(source, staging)
            if ranges:
                write_ranges(ranges, staging / CALIBRATION)
        return weights

    def plans(self, part: Part, precision: str, force: bool, strip: bool) -> dict[str, int]:
        """TensorRT plans of a lane that is exported, beside its graphs; their bytes by graph."""
        from retouch_export.tensorrt import WIDER, Options, build_plans  # needs TensorRT and a GPU

        lane = self.lane(precision)
        wider = WIDER.get(precision)
        folder = part.folder(self.repository, lane)
        rival = part.folder(self.repository, self.lane(wider)) if wider else None
        options = Options(force=force, strip=strip, wider=rival)
        manifest = verify(folder)
        with self._publishing(part, lane, manifest) as staging:
            built = build_plans(
                folder,
                staging,
                precision,
                options,
                lambda words, done: self.say(_with_share(words, done)),
            )
            # by the lane's whole name, for the words on how it is built again
            manifest.plans = {
                name: replace(info, precision=lane).words() for name, info in built.items()
            }
        return {name: info.bytes for name, info in built.items()}

    def _weights(self, module) -> Weights:
        """The numbers that the parameters of the part's graphs have in the checkpoint."""
        prefixes = getattr(module, "PREFIXES", (PREFIX,))
        if self.weightless:
            return NoWeights(prefixes)
        parameters = (
            module.parameters(self.checkpoint)
            if hasattr(module, "parameters")
            else self._parameters(module)
        )
        return StoredWeights(prefixes, parameters)

    def _parameters(self, module) -> dict[str, TensorSource]:
        """Of a part's only folder, by their names in its graphs."""
        renamed = getattr(module, "parameter", str)
        adapter = self.checkpoint.adapter
        there = self.checkpoint.stored(module.FOLDER)
        return {
            PREFIX + renamed(name): each
            for name, each in (adapter.merged(there) if adapter else there).items()
        }

    def _manifest(self, part: Part, precision: str, weights: dict[str, int]) -> Manifest:
        module = importlib.import_module(part.module)
        adapter = self.checkpoint.adapter
        settings = {} if self.weightless else module.settings(self.checkpoint)
        about = {"adapter": adapter.about()} if adapter else {}
        return Manifest(
            self.checkpoint.family,
            self.sha256,
            self.lane(precision),
            getattr(module, "ARITHMETIC", ARITHMETIC[precision]),
            OPSET,
            versions(),
            weights=weights,
            settings=settings | about,
        )

    def _write(
        self, models: dict[str, ir.Model], staging: Path, part: Part, precision: str
    ) -> None:
        for name, model in models.items():
            path = staging / f"{name}.onnx"
            if self.weightless:
                save_without_weights(model, path)
            else:
                save(
                    model,
                    path,
                    lambda words: self.say(f"{part.name}_{self.lane(precision)}: {words}"),
                )
                onnx.checker.check_model(str(path))

    def _compare(self, module, weights: dict[str, int], staging: Path) -> None:
        """Structure against torch in float32, where a graph can hold its weights so."""
        if weights["bf16"] // 2 > LARGEST:
            self._say_uncompared(weights["bf16"] // 2)
            return
        for graph in module.graphs(self.checkpoint):
            self.say(f"{graph.file} against torch")
            check(graph, staging / graph.file)

    def _say_uncompared(self, parameters: int) -> None:
        self.say(
            f"not compared with torch: in float32 the weights take {parameters * 4 / 1e9:.0f} GB"
        )

    @contextlib.contextmanager
    def _publishing(self, part: Part, lane: str, manifest: Manifest) -> Iterator[Path]:
        """An empty folder whose files become the part's when the block ends well; nothing stays
        when it does not."""
        folder = part.folder(self.repository, lane)
        staging = folder.parent / ".partial"
        shutil.rmtree(staging, ignore_errors=True)  # of an export that was killed
        make_like_parent(folder.parent)
        staging.mkdir()
        try:
            yield staging
            make_like_parent(folder)
            if self.weightless:
                share(staging, folder)
                for path in staging.iterdir():
                    path.replace(folder / path.name)
            else:
                publish(staging, folder, manifest)
                register(self.repository, part, lane)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _copy_beside(source: Path, staging: Path) -> None:
    """What a lane's folder has beside its graphs and plans is the same for all lanes."""
    for name in read(source).files:
        if not name.endswith((".onnx", ".onnx.data", ".plan")):
            shutil.copyfile(source / name, staging / name)


def _bytes(models: dict[str, ir.Model]) -> dict[str, int]:
    """Of the weights by tier; those of a denoiser's `reference` are among its `step`'s."""
    counted = [models["step"]] if "step" in models else models.values()
    return dict(sum((Counter(bytes_by_tier(model)) for model in counted), Counter()))


def _with_share(words: str, done: float | None) -> str:
    return words if done is None else f"{words}, {done:.0%}"
