"""The page's components and their arrangement. app.py connects their events."""

from __future__ import annotations

import gradio as gr
from gradio.blocks import BlockContext
from gradio.components import Component
from gradio.data_classes import ImageData

from retouch.api.limits import MAX_GUIDANCE, MAX_INSTRUCTION, MAX_REFERENCES, MAX_STEPS
from retouch_clients.shipped_checkpoint.examples import Example
from retouch_clients.web import html
from retouch_clients.web.rating import Rating
from retouch_clients.web.strip import strip
from retouch_clients.web.suggestions import Suggestions

AUTO = "auto"
PAINT = "paint"
FULL = "full"
WHERE = [("Where the sentence says", AUTO), ("Where I paint", PAINT), ("Anywhere", FULL)]
POLICIES = [("Automatic", "auto"), ("Draft", "draft"), ("Balanced", "balanced"), ("Best", "best")]
STEPS = [("Default", 0), ("8", 8), ("16", 16), ("32", 32)]
PICTURE = "picture"
COMPARE = "compare"
REGION = "region"
MASK = "mask"  # these four: tabs of the stage
STAGE = 320  # pixels of height: a window of 1280 by 900 shows all down to the instruction
EMPTY = "# Drop a picture here\nor click to choose a PNG, JPEG or WebP file"


class Photo(gr.Image):
    """An image component that passes on the uploaded file unchanged.

    Gradio would decode and encode it again. The server reads orientation and colours from the file
    and reports what is wrong with it."""

    is_template = True

    def preprocess(self, payload: ImageData | None) -> str | None:
        return payload and payload.path


class Layout:
    """The components by name. Create it inside `gr.Blocks`."""

    def __init__(self, examples: list[Example], takes_feedback: bool = False):
        self.has_examples = bool(examples)
        self.history = gr.State(None, time_to_live=3600)
        self.token = gr.Textbox(visible=False)  # the key of the stored turns, set by token.js
        gr.HTML(html.HEADER, elem_id="header")
        with gr.Row(elem_id="page"):
            with gr.Column(scale=7, min_width=340):
                self._stage()
                self._examples(examples)
                self._sentence()
                self.rating = Rating(takes_feedback)
                self._turns()
            with gr.Column(scale=4, min_width=320):
                self._choices()
                self._advanced()
                self.details = gr.HTML(elem_id="details")

    def turn_components(self) -> list[Component | BlockContext]:
        """The components that another turn changes.

        Without the mask: its editor redraws itself at every update."""
        return [
            self.history,
            self.stage,
            self.photo,
            self.refusal,
            self.compare_tab,
            self.compare,
            self.region_tab,
            self.beginnings,
            self.instruction,
            self.edit,
            self.stop,
            self.status,
            *self.suggestions.components(),
            *self.rating.components(),
            self.turns,
            self.thumbnails,
            self.undo,
            self.redo,
            self.download,
            self.details,
            self.seed,
            self.abilities,
        ]

    def edit_inputs(self) -> set:
        """The components whose values make up an edit."""
        return {
            self.history,
            self.instruction,
            self.where,
            self.mask,
            self.precision,
            self.steps,
            self.more_steps,
            self.random,
            self.seed,
            self.format,
            self.guidance,
            self.negative,
            self.true_cfg,
            self.step_cache,
            self.deadline,
            self.references,
            self.unknown,
        }

    def _stage(self) -> None:
        with gr.Tabs(elem_id="stage") as self.stage:
            with gr.Tab("Picture", id=PICTURE):
                self.refusal = gr.HTML(visible=False, elem_id="refusal")
                self.photo = Photo(
                    type="filepath",
                    label="Picture",
                    show_label=False,
                    sources=["upload", "clipboard"],
                    height=STAGE,
                    buttons=["fullscreen"],
                    placeholder=EMPTY,
                    elem_id="photo",
                )
            with gr.Tab("Before and after", id=COMPARE, visible=False) as self.compare_tab:
                self.compare = gr.ImageSlider(
                    label="Before and after",
                    show_label=False,
                    type="filepath",
                    height=STAGE,
                    max_height=STAGE,
                    buttons=["fullscreen"],
                    interactive=False,
                    elem_id="compare",
                )
            with gr.Tab("Region", id=REGION, visible=False) as self.region_tab:
                self.region = gr.Image(
                    label="Region",
                    show_label=False,
                    interactive=False,
                    height=STAGE - 36,
                    buttons=[],
                    format="png",
                    alt_text="The picture with the edited region framed",
                    elem_id="region",
                )
                gr.HTML(html.legend())
            with gr.Tab("Paint a mask", id=MASK, visible=False) as self.mask_tab:
                self.mask = gr.ImageEditor(
                    type="numpy",
                    format="png",
                    label="Mask",
                    show_label=False,
                    sources=[],
                    transforms=[],
                    layers=False,
                    brush=gr.Brush(default_size=24, colors=["#6366f1"], color_mode="fixed"),
                    height=STAGE,
                    buttons=[],
                    elem_id="mask",
                )

    def _examples(self, examples: list[Example]) -> None:
        with gr.Column(visible=bool(examples), elem_id="beginnings") as self.beginnings:
            gr.HTML('<p class="strip-title">Or start with one of these</p>')
            self.examples = strip(
                "Examples",
                "examples",
                [(str(example.image), example.instruction) for example in examples],
            )

    def _sentence(self) -> None:
        with gr.Row(elem_id="ask", equal_height=True):
            self.instruction = gr.Textbox(
                label="What should change?",
                placeholder="make it warmer",
                max_lines=1,
                max_length=MAX_INSTRUCTION,
                scale=8,
                min_width=200,
                elem_id="instruction",
            )
            self.edit = gr.Button("Edit", variant="primary", scale=1, min_width=96, elem_id="edit")
            self.stop = gr.Button(
                "Stop", variant="stop", scale=1, min_width=96, visible=False, elem_id="stop"
            )
        self.status = gr.HTML(elem_id="status")
        self.suggestions = Suggestions()
        self.abilities = gr.HTML(visible=False, elem_id="abilities")

    def _turns(self) -> None:
        with gr.Column(visible=False, elem_id="turns") as self.turns:
            gr.HTML(
                '<p class="strip-title">Turns: choose one to view it and to continue from it</p>'
            )
            self.thumbnails = strip("Turns", "thumbnails")
            with gr.Row():
                self.undo = gr.Button("Undo", size="sm", min_width=80, elem_id="undo")
                self.redo = gr.Button("Redo", size="sm", min_width=80, elem_id="redo")
                self.download = gr.DownloadButton(
                    "Download", size="sm", min_width=80, elem_id="download"
                )
                self.restart = gr.Button("Start over", size="sm", min_width=80, elem_id="restart")

    def _choices(self) -> None:
        with gr.Group():
            self.where = gr.Radio(WHERE, value=AUTO, label="Where may it change?", elem_id="where")
            self.precision = gr.Radio(
                POLICIES,
                value="auto",
                label="Precision",
                elem_id="precision",
                info="Draft is fastest, Best has the highest quality. "
                "bf16, fp8 and fp4 choose a lane directly.",
            )
            self.steps = gr.Radio(
                STEPS,
                value=0,
                label="Steps",
                elem_id="steps",
                info="More steps take longer. The default is the checkpoint's.",
            )
            with gr.Row():
                self.random = gr.Checkbox(
                    True, label="A new seed each time", min_width=150, elem_id="random"
                )
                self.seed = gr.Number(
                    None,
                    label="Seed",
                    precision=0,
                    min_width=150,
                    elem_id="seed",
                    info="The same seed gives the same picture.",
                )

    def _advanced(self) -> None:
        with gr.Accordion("Advanced", open=False, elem_id="advanced"):
            self.format = gr.Radio(
                ["png", "jpeg", "webp"], value="png", label="Format of the result"
            )
            self.guidance = gr.Slider(
                0, MAX_GUIDANCE, 0, step=0.5, label="Guidance", info="0: the checkpoint's default."
            )
            self.negative = gr.Textbox(
                label="Negative",
                max_length=MAX_INSTRUCTION,
                info="What the result should not show. Some checkpoints only.",
            )
            self.true_cfg = gr.Slider(
                0,
                MAX_GUIDANCE,
                0,
                step=0.5,
                label="True CFG",
                info="Strength of the negative; 0: the checkpoint's default. "
                "Above 1, every step runs the transformer twice.",
            )
            self.step_cache = gr.Slider(
                0,
                1,
                0,
                step=0.01,
                label="Step cache",
                info="Reuse the previous step while the predicted change stays below this value; "
                "0: never.",
            )
            self.more_steps = gr.Slider(
                0,
                MAX_STEPS,
                0,
                step=1,
                label="Exact number of steps",
                info="Above 0, it replaces the choice of steps.",
            )
            self.deadline = gr.Number(
                0, label="Deadline in milliseconds", precision=0, info="0: no deadline."
            )
            self.unknown = gr.Checkbox(
                False,
                label="Edit even if the sentence is not understood",
                elem_id="unknown",
                info="Otherwise the picture stays as it is.",
            )
            self.references = gr.File(
                label=f"Reference pictures: up to {MAX_REFERENCES}, some checkpoints only",
                file_count="multiple",
                file_types=[".png", ".jpg", ".jpeg", ".webp"],
                height=120,
            )
