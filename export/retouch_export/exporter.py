"""A checkpoint's way into a model repository: its parts, then the denoiser's lanes; each appears
whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import onnx
import onnx_ir as ir

from retouch.artifacts.manifest import FLOAT32, Manifest, publish, read, verify
from retouch.artifacts.typed_folder import remove_foreign
from retouch_export import part_profiles
from retouch_export.checkpoint import Checkpoint
from retouch_export.file_modes import make_like_parent, share
from retouch_export.graph import LARGEST
from retouch_export.graph_check import TYPED_TOLERANCE, check
from retouch_export.lane_choice import with_defaults
from retouch_export.lane_defaults import Chosen
from retouch_export.linear import linears
from retouch_export.loaded import export
from retouch_export.meta_trace import Weights, save, save_without_weights, skeletons
from retouch_export.parts import DENOISER, OPSET, WIDE, Part, Stage, TypedStage
from retouch_export.policy import POLICIES, Tier
from retouch_export.quantise import bytes_by_tier, quantise
from retouch_export.ranges import FILE as CALIBRATION
from retouch_export.ranges import Range, Ranges
from retouch_export.ranges import write as write_ranges
from retouch_export.recipe import Recipe, recipe_for
from retouch_export.registration import register
from retouch_export.staleness import sources_of, versions
from retouch_export.typed_graphs import round_parameters, typed_models, with_islands
from retouch_export.weights import NoWeights, StoredWeights

ARITHMETIC = {"bf16": "bfloat16", "fp8": "E4M3, bfloat16", "fp4": "E2M1, E4M3, bfloat16"}

Say = Callable[[str], None]


@dataclass
class Exporter:
    """Exports the stages of one checkpoint into one repository.

    `say` gets a phrase about every step. `weightless` writes graphs only, which no server loads.
    Where the checkpoint has an adapter, the lanes are the adapter's. `chosen` are defaults of the
    lanes."""

    checkpoint: Checkpoint
    sha256: str
    repository: Path
    say: Say = print
    weightless: bool = False
    chosen: Chosen = field(default_factory=dict)

    def whole(self, stage: Stage) -> None:
        """A stage around the denoiser."""
        if stage.is_streamed:
            self.streamed(stage)
            return
        part = stage.part()
        manifest = Manifest(
            self.checkpoint.family,
            self.sha256,
            "bf16",
            FLOAT32,
            OPSET,
            versions(),
            settings=part.all_settings(self.checkpoint),
            sources=sources_of(stage, "bf16"),
            origin=self.checkpoint.origin,
        )
        with self._publishing(stage, "bf16", manifest) as staging:
            for graph in part.graphs(self.checkpoint):
                self.say(f"{stage.name}: {graph.file}")
                export(graph, staging / graph.file)
                if graph.parameters > LARGEST:
                    self._say_uncompared(graph.parameters)
                else:
                    check(graph, staging / graph.file)
            part.files(self.checkpoint, staging)

    def lane(self, precision: str) -> str:
        """The name of the denoiser's lane."""
        adapter = self.checkpoint.adapter
        return adapter.lane(precision) if adapter else precision

    def streamed(self, stage: Stage) -> dict[str, int]:
        """A stage whose weights are not loaded, as the denoiser's bf16 lane; returns the bytes of
        its weights by tier."""
        part = stage.part()
        self.say(f"{stage.label(self.lane(WIDE))}: tracing")
        models = skeletons(lambda: part.graphs(self.checkpoint, outline=True), self._weights(part))
        weights = _bytes(models)
        with self._publishing(
            stage, self.lane("bf16"), self._manifest(stage, "bf16", weights)
        ) as staging:
            self._write(models, staging, stage, "bf16")
            if not self.weightless:
                part.files(self.checkpoint, staging)
                self._compare(part, weights, staging)
        return weights

    def wide(self, stage: TypedStage) -> dict[str, int]:
        """A typed stage in bf16; returns the bytes of its weights by tier."""
        part = stage.part()
        if stage.is_streamed and part.arithmetic is None and not self.weightless:
            return self._copied(stage)
        self.say(f"{stage.label(WIDE)}: tracing")
        models = (
            skeletons(lambda: with_islands(part.typed_graphs(self.checkpoint)), self._weights(part))
            if stage.is_streamed
            else typed_models(part.graphs(self.checkpoint))
        )
        weights = _bytes(models)
        with self._publishing(stage, WIDE, self._manifest(stage, WIDE, weights)) as staging:
            self._write(models, staging, stage, WIDE)
            if not self.weightless:
                part.files(self.checkpoint, staging)
                self._compare_typed(part, models, staging)
        return weights

    def _copied(self, stage: TypedStage) -> dict[str, int]:
        """A copy of the stage's own graphs, which are typed already. The package `onnx` refuses
        links to files of weights."""
        source = Stage(stage.name, stage.family).folder(self.repository, WIDE)
        manifest = read(source)
        manifest.sources = sources_of(stage, WIDE)
        with self._publishing(stage, WIDE, manifest) as staging:
            for name in manifest.files:
                shutil.copyfile(source / name, staging / name)
        return manifest.weights

    def narrow(
        self, stage: Stage, precision: str, ranges: Ranges, recipe: Recipe | None = None
    ) -> dict[str, int]:
        """A narrow lane of the denoiser, or a typed stage in a narrow precision, from the bf16 one,
        by the best recipe that `ranges` allow or by `recipe`; returns the bytes of its weights by
        tier."""
        recipe = recipe or recipe_for(ranges)
        source = stage.folder(self.repository, self.lane("bf16"))
        models = {path.stem: ir.load(path) for path in sorted(source.glob("*.onnx"))}
        for name, model in models.items():
            some = (
                {linear.module: Range(1.0) for linear in linears(model)} if self.weightless else {}
            )
            quantise(model, precision, ranges.get(name, some), recipe, POLICIES[stage.name])
        weights = _bytes(models)
        manifest = self._manifest(stage, precision, weights)
        if Tier.NVFP4.value in weights:
            manifest.settings["recipe"] = asdict(recipe)
        with self._publishing(stage, self.lane(precision), manifest) as staging:
            self._write(models, staging, stage, precision)
            if not self.weightless:
                _copy_beside(source, staging)
            if ranges:
                own = {name: ranges[name] for name in models}
                write_ranges(own, staging / CALIBRATION)
        return weights

    def plans(self, stage: Stage, precision: str, force: bool, strip: bool) -> dict[str, int]:
        """TensorRT plans of an exported lane or typed stage, beside its graphs; returns their bytes
        by graph."""
        from retouch_export.tensorrt import WIDER, Options, build_plans  # needs TensorRT and a GPU

        lane = self.lane(precision)
        wider = WIDER.get(precision)
        folder = stage.folder(self.repository, lane)
        rival = stage.folder(self.repository, self.lane(wider)) if wider else None
        options = Options(force=force, strip=strip, wider=rival)
        if isinstance(stage, TypedStage):
            targets = part_profiles.targets_of(stage, self.checkpoint)
            options = replace(options, part=stage.name, targets=targets)
        manifest = verify(folder)
        with self._publishing(stage, lane, manifest) as staging:
            built = build_plans(
                folder,
                staging,
                precision,
                options,
                lambda text, done: self.say(_with_share(text, done)),
            )
            # by the lane's whole name, for the text on how it is built again
            manifest.plans = {
                name: replace(info, precision=lane).to_manifest() for name, info in built.items()
            }
        return {name: info.bytes for name, info in built.items()}

    def _weights(self, part: Part) -> Weights:
        """The numbers that the parameters of the part's graphs have in the checkpoint."""
        if self.weightless:
            return NoWeights(part.prefixes)
        return StoredWeights(part.prefixes, part.parameters(self.checkpoint))

    def _manifest(self, stage: Stage, precision: str, weights: dict[str, int]) -> Manifest:
        part = stage.part()
        adapter = self.checkpoint.adapter
        settings = {} if self.weightless else part.all_settings(self.checkpoint)
        settings |= {"adapter": adapter.about()} if adapter else {}
        if stage.name == DENOISER and not self.weightless:
            folder = stage.folder(self.repository, self.lane(precision))
            settings = with_defaults(settings, folder, self.checkpoint, self.sha256, self.chosen)
        is_typed = isinstance(stage, TypedStage)
        return Manifest(
            self.checkpoint.family,
            self.sha256,
            self.lane(precision),
            ARITHMETIC[precision] if is_typed else part.arithmetic or ARITHMETIC[precision],
            OPSET,
            versions(),
            weights=weights,
            settings=settings,
            sources=sources_of(stage, precision),
            origin=self.checkpoint.origin,
        )

    def _write(
        self, models: dict[str, ir.Model], staging: Path, stage: Stage, precision: str
    ) -> None:
        for name, model in models.items():
            path = staging / f"{name}.onnx"
            if self.weightless:
                save_without_weights(model, path)
            else:
                save(
                    model,
                    path,
                    lambda text: self.say(f"{stage.label(self.lane(precision))}: {text}"),
                )
                onnx.checker.check_model(str(path))

    def _compare(self, part: Part, weights: dict[str, int], staging: Path) -> None:
        """Compare the graphs with torch in float32, unless their weights are too large for that."""
        if weights["bf16"] // 2 > LARGEST:
            self._say_uncompared(weights["bf16"] // 2)
            return
        for graph in part.graphs(self.checkpoint):
            self.say(f"{graph.file} against torch")
            check(graph, staging / graph.file)

    def _compare_typed(self, part: Part, models: dict[str, ir.Model], staging: Path) -> None:
        """The same for typed graphs, with the torch modules' parameters rounded as theirs."""
        for graph in part.graphs(self.checkpoint) if models else []:
            if graph.parameters > LARGEST:
                self._say_uncompared(graph.parameters)
                return
            self.say(f"{graph.file} against torch")
            round_parameters(graph, models[graph.name])
            check(graph, staging / graph.file, tolerance=TYPED_TOLERANCE)

    def _say_uncompared(self, parameters: int) -> None:
        self.say(
            f"not compared with torch: in float32 the weights take {parameters * 4 / 1e9:.0f} GB"
        )

    @contextlib.contextmanager
    def _publishing(self, stage: Stage, lane: str, manifest: Manifest) -> Iterator[Path]:
        """An empty folder, whose files become the stage's when the block ends without an error."""
        folder = stage.folder(self.repository, lane)
        staging = self.repository / stage.model(lane) / ".partial"
        shutil.rmtree(staging, ignore_errors=True)  # of an export that was killed
        make_like_parent(staging.parent)
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
                register(self.repository, stage, lane)
                remove_foreign(folder, manifest.checkpoint_sha256)
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


def _with_share(text: str, done: float | None) -> str:
    return text if done is None else f"{text}, {done:.0%}"
