"""Published checkpoints: each name of their files is one parameter of the network that the export
makes, and none is left.

The files are those of tests/published, at their real sizes and without content; the networks are
made without storage."""

from __future__ import annotations

import importlib
import json
import re

import pytest
import torch
from diffusers import ModelMixin

from published_files import Layout, layouts, write_header
from retouch.networks.by_config import by_config
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.summary import summary

ALL = layouts()
# what a component's network is called in the checkpoints that README names
KONTEXT = {
    "transformer": "flux_transformer",
    "vae": "flux_vae",
    "text_encoder": "clip_l",
    "text_encoder_2": "t5_xxl",
}
KLEIN = {"transformer": "flux2_klein_9b", "vae": "flux2_vae", "text_encoder": "qwen3_8b"}
KLEIN_4B = {"transformer": "flux2_klein_4b", "vae": "flux2_vae", "text_encoder": "qwen3_4b"}
DEV = {"transformer": "flux2_dev", "vae": "flux2_vae", "text_encoder": "mistral_small_3"}
QWEN = {
    "transformer": "qwen_image_transformer",
    "vae": "qwen_image_vae",
    "text_encoder": "qwen2_5_vl_7b",
}
CHECKPOINTS = {
    "FLUX.1-Kontext-dev": ("FluxKontextPipeline", KONTEXT, 0, 11_901_408_320),
    "FLUX.2-klein-4B": ("Flux2KleinPipeline", KLEIN_4B, 0, 3_875_544_576),
    "FLUX.2-klein-9B": ("Flux2KleinPipeline", KLEIN, 0, 9_078_581_248),
    "FLUX.2-klein-9b-kv": ("Flux2KleinKVPipeline", KLEIN, 0, 9_078_581_248),
    "FLUX.2-dev": ("Flux2Pipeline", DEV, 0, 32_223_281_152),
    "Qwen-Image-Edit": ("QwenImageEditPipeline", QWEN, 0, 20_430_401_088),
    "Qwen-Image-Edit-2509": ("QwenImageEditPlusPipeline", QWEN, 1, 20_430_401_088),
    "Qwen-Image-Edit-2511": ("QwenImageEditPlusPipeline", QWEN, 1, 20_430_401_088),
    "FireRed-Image-Edit-1.1": ("QwenImageEditPlusPipeline", QWEN, 1, 20_430_401_088),
}
# whose text encoder gives a network's tensors the names of its graph; others have them already
RENAMED = {
    "clip_l": "flux_kontext",
    "t5_xxl": "flux_kontext",
    "qwen3_4b": "flux2_klein",
    "qwen3_8b": "flux2_klein",
    "mistral_small_3": "flux2_dev",
    "qwen2_5_vl_7b": "qwen_image_edit",
    "qwen2_5_vl_3b": "instructx",
}


def network(layout: Layout) -> torch.nn.Module:
    kind = getattr(importlib.import_module(layout.table["library"]), layout.table["class"])
    with torch.device("meta"):
        return by_config(kind, layout.table["config"])


def parameter_names(layout: Layout, names: list[str]) -> list[str]:
    """The published names as the export knows them; an autoencoder's by diffusers' own loader."""
    made = network(layout)
    if isinstance(made, ModelMixin):
        state = {name: name for name in names}
        made._fix_state_dict_keys_on_load(state)  # moves what it renames to the end
        renamed = {before: after for after, before in state.items()}
        return [renamed[name] for name in names]
    rename = importlib.import_module(
        f"retouch_export.{RENAMED[layout.network]}.vl_parser"
    ).PART.parameter_name
    if layout.network.startswith("qwen2_5_vl"):  # the graphs hold what is inside the head's class
        return [
            name if name.startswith("lm_head") else f"model.{name}" for name in map(rename, names)
        ]
    return list(map(rename, names))


@pytest.mark.parametrize("layout", ALL, ids=str)
def test_each_published_name_is_one_parameter(layout):
    made = network(layout)
    shapes = {
        name: tuple(value.shape) for name, value in made.named_parameters(remove_duplicate=False)
    }
    buffers = {name for name, _ in made.named_buffers()}
    published = layout.tensors
    mapped = dict(zip(parameter_names(layout, list(published)), published, strict=True))
    assert len(mapped) == len(published), "two names are one parameter"
    strange = {name for name in mapped if name not in shapes and name not in buffers}
    assert not strange, f"names that the network does not know: {sorted(strange)[:3]}"
    tied = {name for group in tied_names(made) for name in group if set(group) & set(mapped)}
    lacking = set(shapes) - set(mapped) - tied - set(layout.content.get("partial", ()))
    assert not lacking, f"parameters without a name: {sorted(lacking)[:3]}"
    for name in set(mapped) & set(shapes):
        assert published[mapped[name]][1] == shapes[name], name


def tied_names(made: torch.nn.Module) -> list[list[str]]:
    """Names of one parameter: a tie of a meta module is by its class's list, for it has none by
    storage."""
    groups: dict[int, list[str]] = {}
    for name, value in made.named_parameters(remove_duplicate=False):
        groups.setdefault(id(value), []).append(name)
    ties = getattr(made, "_tied_weights_keys", None) or {}
    always = type(made).__name__ == "T5EncoderModel"
    named = (
        [[*pair] for pair in ties.items()]
        if always or getattr(made.config, "tie_word_embeddings", False)
        else []
    )
    return [group for group in groups.values() if len(group) > 1] + named


@pytest.mark.parametrize(
    "layout",
    [published for published in ALL if {"bytes", "file_bytes"} & set(published.content)],
    ids=str,
)
def test_tables_agree_with_the_published_sizes(layout):
    """Of all tensors, or of a file, which has a header of some 110 bytes a tensor beside them."""
    if "bytes" in layout.content:
        assert layout.bytes == layout.content["bytes"]
    if "file_bytes" in layout.content:
        header = layout.content["file_bytes"] - layout.bytes
        assert 60 * len(layout.tensors) < header < 160 * len(layout.tensors)


@pytest.mark.parametrize("layout", ALL, ids=str)
def test_every_table_names_its_source(layout):
    assert len(layout.content["source"]) > 20 and layout.table["config_source"]


def write_checkpoint(folder, name, layout_of=lambda network: 0):
    kind, components, number, _ = CHECKPOINTS[name]
    listed = {
        "_class_name": kind,
        "is_distilled": True,
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    }
    for component, table in components.items():
        choices = layouts(table)
        chosen = choices[number] if table == "qwen_image_transformer" else choices[layout_of(table)]
        chosen.write(folder / component)
        listed[component] = [chosen.table["library"], chosen.table["class"]]
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    (folder / "model_index.json").write_text(json.dumps(listed))
    return Checkpoint(folder)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_published_checkpoint_is_inspected(tmp_path, name):
    """At its real sizes, by the files' headers; only settings of tokenizers are missing here."""
    write_checkpoint(tmp_path / "whole", name)
    sizes = summary(tmp_path / "whole")
    assert not [
        sentence
        for sentence in sizes.missing
        if not re.search("tokenizer|processor|calibration", sentence)
    ]
    (transformer,) = (network for network in sizes.networks if network.name == "transformer")
    if CHECKPOINTS[name][0] == "Flux2KleinPipeline":  # a distilled one
        assert (sizes.steps, sizes.guidance, sizes.twice) == (4, 0.0, False)
    assert transformer.parameters == CHECKPOINTS[name][3] and set(transformer.dtypes) == {"BF16"}


@pytest.mark.parametrize("number", [0, 1, 2])
def test_every_layout_of_kontexts_text_encoders_is_read(tmp_path, number):
    """As the export reads them: CLIP's with position_ids, T5's with either embedding or both."""
    from retouch_export.flux_kontext.vl_parser import FOLDERS, PART

    checkpoint = write_checkpoint(
        tmp_path / "whole",
        "FLUX.1-Kontext-dev",
        lambda table: number if table in ("clip_l", "t5_xxl") else 0,
    )
    names = set(PART.parameters(checkpoint))
    for folder, kind in FOLDERS.items():
        with torch.device("meta"):
            made = by_config(kind, checkpoint.json(f"{folder}/config.json"))
        assert {f"model.{name}" for name, _ in made.named_parameters()} <= names, folder
    assert not [name for name in names if "position_ids" in name]


def test_an_inspected_encoder_counts_an_embedding_once_and_no_places(tmp_path):
    write_checkpoint(
        tmp_path / "whole",
        "FLUX.1-Kontext-dev",
        lambda table: 1 if table in ("clip_l", "t5_xxl") else 0,
    )
    networks = {network.name: network for network in summary(tmp_path / "whole").networks}
    assert networks["text_encoder"].dtypes == {"F32": 123_060_480}
    assert networks["text_encoder_2"].dtypes == {"F16": 4_762_310_656}


@pytest.mark.parametrize("kind, name", [("I64", "a.weight"), ("I64", "proj.bias")])
def test_whole_numbers_for_weights_are_refused(tmp_path, kind, name):
    from retouch_export.validate import check

    checkpoint = write_checkpoint(tmp_path / "whole", "FLUX.1-Kontext-dev")
    write_header(
        tmp_path / "whole" / "vae" / "diffusion_pytorch_model.safetensors", {name: (kind, (4, 4))}
    )
    with pytest.raises(CheckpointError, match="holds numbers of type I64"):
        check(checkpoint, whole=False)
