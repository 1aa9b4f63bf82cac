"""Every config.pbtxt, read with Triton's own protobuf, against the table of request fields and
against each other."""

from __future__ import annotations

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import DataType, ModelConfig

from retouch.api import write_fields
from retouch.api.fields import FIELDS, REQUIRED
from retouch.api.lanes import LANES
from retouch.api.response import ENSEMBLE_IMAGE, OUTPUTS
from retouch.api.tensors import ANSWERS
from retouch.backends.base import BACKENDS
from retouch.launcher import write_profiles
from retouch.launcher.server import ROOT

REPOSITORY = ROOT / "model_repository"
# but lanes with an adapter: an export has made those of the plain ones
NAMES = sorted(
    path.parent.name for path in REPOSITORY.glob("*/config.pbtxt") if "-" not in path.parent.name
)
DOORS = ("edit", "edit_sync", "edit_ensemble")
TAKE_REQUESTS = (*DOORS, "preprocess")
# inputs that a call may leave out
DENOISER_OPTIONAL = {
    "LATENTS",
    "PROMPT_EMBEDS",
    "PROMPT_EMBEDS_POOLED",
    "NEGATIVE_EMBEDS",
    "NEGATIVE_EMBEDS_POOLED",
    "REFERENCE_LATENTS",
    "BOXES",
    "CELLS",
    "INFO",
    "SOURCE",
}
OPTIONAL = {
    # the ensemble hands on its INSTRUCTION, which is optional there; preprocess has refused an edit
    # without it
    "vl_parser": {"INSTRUCTION", "NEGATIVE", "IMAGE_FILES"},
    **{f"denoiser_{lane}": DENOISER_OPTIONAL for lane in LANES},
}
DATATYPES = {
    "BYTES": "TYPE_STRING",
    "INT32": "TYPE_INT32",
    "INT64": "TYPE_INT64",
    "FP32": "TYPE_FP32",
}


PROFILES = [path for name in NAMES for path in sorted(REPOSITORY.glob(f"{name}/configs/*.pbtxt"))]


def profiled():
    """Models and their profiles."""
    return {(path.parent.parent.name, path.stem) for path in PROFILES}


def config(name):
    return parsed(REPOSITORY / name / "config.pbtxt")


def parsed(path):
    return text_format.Parse(path.read_text(), ModelConfig())


def kind(tensor):
    return DataType.Name(tensor.data_type), tuple(tensor.dims)


def tensors(listed):
    return {tensor.name: kind(tensor) for tensor in listed}


def optional_of(config):
    return {tensor.name for tensor in config.input if tensor.optional}


def expected(listed):
    return {tensor.name: (DATATYPES[tensor.datatype], tensor.dims) for tensor in listed}


def test_the_models_of_the_design_are_there():
    lanes = {
        f"denoiser_{lane}" for lane in config("edit").parameters["lanes"].string_value.split(",")
    }
    stages = {"preprocess", "vl_parser", "connector", "vae_encoder", "vae_decoder", "postprocess"}
    stages.add("evaluator")
    assert set(NAMES) == {*DOORS, *stages, *lanes}


@pytest.mark.parametrize("name", NAMES)
def test_every_config(name):
    read = config(name)
    text = (REPOSITORY / name / "config.pbtxt").read_text()
    assert read.name == name
    assert read.max_batch_size >= 1
    assert text.startswith("#") and len(text.splitlines()) <= 140
    if name not in TAKE_REQUESTS:
        assert optional_of(read) == OPTIONAL.get(name, set())
    assert (read.backend, read.platform) == (
        ("", "ensemble") if name == "edit_ensemble" else ("python", "")
    )
    assert read.model_transaction_policy.decoupled == (
        name == "edit" or name.startswith("denoiser_")
    )
    assert not read.response_cache.enable


def configs_that_take_requests():
    """config.pbtxt and every profile of the models whose inputs are a request."""
    for name in TAKE_REQUESTS:
        yield REPOSITORY / name / "config.pbtxt"
        yield from sorted(REPOSITORY.glob(f"{name}/configs/*.pbtxt"))


@pytest.mark.parametrize(
    "path", configs_that_take_requests(), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_doors_take_the_request(path):
    inputs = parsed(path).input
    assert tensors(inputs) == expected(FIELDS)
    assert [tensor.name for tensor in inputs] == [tensor.name for tensor in FIELDS]
    required = {tensor.name for tensor in inputs} - optional_of(parsed(path))
    assert set(REQUIRED) == {"IMAGE", "INSTRUCTION"}
    # tritonserver 2.51 never answers a request that lacks a required input of an ensemble with
    # optional ones
    by_code = path.parent.name in ("edit_ensemble", "preprocess")
    assert required == (set() if by_code else set(REQUIRED))


@pytest.mark.parametrize("path", write_fields.files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_written_from_the_table_of_fields_is_current(path):
    assert path.read_text() == write_fields.written(path), "`make fields` writes it"


def test_the_table_is_written_into_every_config_that_takes_a_request():
    assert set(configs_that_take_requests()) | {ROOT / "README.md"} == set(write_fields.files())


@pytest.mark.parametrize(
    "path", PROFILES, ids=lambda path: f"{path.parent.parent.name}-{path.stem}"
)
def test_a_profile_has_the_optional_inputs_of_its_model(path):
    assert optional_of(parsed(path)) == OPTIONAL.get(path.parent.parent.name, set())


@pytest.mark.parametrize("name", (*DOORS, "postprocess"))
def test_doors_give_the_answer(name):
    outputs = expected(OUTPUTS)
    if name == "edit_ensemble":
        outputs[ENSEMBLE_IMAGE] = outputs.pop("IMAGE")
    assert tensors(config(name).output) == outputs


@pytest.mark.parametrize("name", ("edit", "edit_sync"))
def test_the_queue_has_priority_a_limit_and_a_time_out(name):
    batching = config(name).dynamic_batching
    assert config(name).max_batch_size == 1
    assert (batching.priority_levels, batching.default_priority_level) == (2, 2)
    policy = batching.default_queue_policy
    assert (
        policy.max_queue_size > 0
        and policy.default_timeout_microseconds > 0
        and policy.allow_timeout_override
    )


@pytest.mark.parametrize(
    "name",
    (
        "preprocess",
        "vl_parser",
        "connector",
        "vae_encoder",
        "vae_decoder",
        "postprocess",
        "evaluator",
    ),
)
def test_stateless_models_batch(name):
    assert config(name).max_batch_size > 1 and config(name).HasField("dynamic_batching")


def lanes_of(name):
    return config(name).parameters["lanes"].string_value.split(",")


def test_the_doors_know_the_same_lanes():
    assert lanes_of("edit") == lanes_of("edit_sync")
    assert set(lanes_of("edit")) <= set(LANES)


def test_before_the_ensemble_only_the_lane_it_wires_can_be_chosen():
    wired = [step.model_name for step in config("edit_ensemble").ensemble_scheduling.step]
    assert [f"denoiser_{lane}" for lane in lanes_of("preprocess")] == [
        name for name in wired if "denoiser" in name
    ]


@pytest.mark.parametrize(
    "path", PROFILES, ids=lambda path: f"{path.parent.parent.name}-{path.stem}"
)
def test_a_profile_is_its_config_on_another_machine(path):
    profile = parsed(path)
    name = path.parent.parent.name
    main = config(name)
    is_denoiser = name.startswith("denoiser_")
    runners = {
        "cpu": "onnx",
        "gpu": "auto",
        "torch": "torch",
        "hopper": "tensorrt" if is_denoiser else "auto",
        "blackwell": "tensorrt" if is_denoiser else "auto",
    }
    (group,) = profile.instance_group
    # one engine knows all running edits, so there is one, on one GPU
    assert (group.count, group.kind, list(group.gpus)) == (
        (1, group.KIND_CPU, []) if path.stem in ("cpu", "torch") else (1, group.KIND_GPU, [0])
    )
    assert profile.parameters["runner"].string_value == runners[path.stem]
    changed = ["runner"]
    if is_denoiser:
        is_cpu = path.stem == "cpu"
        limits = (64 << 20, 1 << 30, 512 << 20) if is_cpu else (8 << 30, 16 << 30, 4 << 30)
        for key, limit in zip(("reference_bytes", "running_bytes", "adapter_bytes"), limits):
            assert int(profile.parameters[key].string_value) == limit
            changed.append(key)
    else:
        # typed graphs of every lane that the profile loads, where they are exported
        lanes = [lane for lane in LANES if (f"denoiser_{lane}", path.stem) in profiled()]
        pairs = ",".join(f"{lane}:auto" for lane in lanes)
        assert profile.parameters["precision"].string_value == pairs
        assert main.parameters["precision"].string_value == ""
        changed.append("precision")
    for model_config in (profile, main):
        model_config.ClearField("instance_group")
        for key in changed:
            del model_config.parameters[key]
    assert profile == main


@pytest.mark.parametrize("name", (*write_profiles.STAGES, *(f"denoiser_{lane}" for lane in LANES)))
def test_a_model_names_a_runner_that_exists(name):
    for path in (
        REPOSITORY / name / "config.pbtxt",
        *sorted(REPOSITORY.glob(f"{name}/configs/*.pbtxt")),
    ):
        assert parsed(path).parameters["runner"].string_value in BACKENDS, path


def test_without_a_profile_everything_is_on_the_cpu():
    for name in NAMES:
        model_config = config(name)
        assert all(group.kind == group.KIND_CPU for group in model_config.instance_group), name
        if "runner" in model_config.parameters:
            assert model_config.parameters["runner"].string_value == "onnx"


def test_profiles_are_current():
    stale = [
        str(path)
        for path, text in write_profiles.files().items()
        if not write_profiles.is_current(path, text)
    ]
    assert stale == [], "`make profiles` writes them"


def test_no_profile_is_written_twice():
    for name in NAMES:
        texts = [
            path.read_text()
            for path in REPOSITORY.glob(f"{name}/configs/*.pbtxt")
            if not path.is_symlink()
        ]
        assert len(texts) == len(set(texts)), name


def test_every_model_has_the_profiles_it_can_run_on():
    everywhere = {
        (f"denoiser_{lane}", profile)
        for lane in LANES
        for profile in ("cpu", "gpu", "hopper", "blackwell", "torch")
    }
    # hopper cannot multiply FP4, and torch and onnx-cuda do not
    everywhere -= {("denoiser_fp4", profile) for profile in ("gpu", "hopper", "torch")}
    stages = {
        (stage, profile)
        for stage in write_profiles.STAGES
        for profile in ("gpu", "hopper", "blackwell", "torch")
    }
    assert profiled() == everywhere | stages


def test_the_lanes_are_one_model():
    bf16 = REPOSITORY / "denoiser_bf16"
    for lane in ("fp8", "fp4"):
        other = REPOSITORY / f"denoiser_{lane}"
        assert (other / "1" / "model.py").resolve() == (bf16 / "1" / "model.py").resolve()
        one = config("denoiser_bf16")
        two = config(f"denoiser_{lane}")
        one.name = two.name
        assert one == two


def test_the_ensemble_wires_every_input_with_its_own_type():
    ensemble = config("edit_ensemble")
    known = tensors(ensemble.input)
    for step in ensemble.ensemble_scheduling.step:
        model = config(step.model_name)
        inputs = {tensor.name for tensor in model.input}
        assert inputs - optional_of(model) <= set(step.input_map) <= inputs, step.model_name
        for name, source in step.input_map.items():
            assert fits(known[source], tensors(model.input)[name]), (step.model_name, name)
        for name, target in step.output_map.items():
            assert target not in known, f"{target} is made twice"
            known[target] = tensors(model.output)[name]
    assert all(known[tensor.name] == kind(tensor) for tensor in ensemble.output)


def fits(one, other):
    """Whether two kinds of tensors can be one; a dimension of -1 fits any."""
    dims = zip(one[1], other[1], strict=True)
    return one[0] == other[0] and all(a == b or -1 in (a, b) for a, b in dims)


def test_behind_the_denoiser_the_ensemble_uses_only_what_came_out_of_it():
    after = set()
    for step in config("edit_ensemble").ensemble_scheduling.step:
        if step.model_name.startswith("denoiser"):
            after |= set(step.output_map.values())
        elif after & set(step.input_map.values()):
            assert set(step.input_map.values()) <= after, step.model_name
            after |= set(step.output_map.values())


def test_calls_between_models_ask_for_outputs_that_exist():
    for name, outputs in ANSWERS.items():
        model = config("denoiser_bf16" if name == "denoiser" else name)
        assert set(outputs) <= {tensor.name for tensor in model.output}, name
