"""The values of every field that an instruction can set: the parser's labels."""

from training.render import COLOURS, KINDS, PLACES, SIZES

NONE = "none"
# of one object; a new background is the shapes' world's alone
OBJECT_OPS = ("recolour", "remove", "replace", "add", "move", "resize")
TONE_OPS = (
    "brighter",
    "darker",
    "contrast",
    "flatten",  # less contrast
    "warmer",
    "cooler",
    "saturate",
    "mute",  # less saturation
    "grey",
    "sepia",
    "fade",
    "vignette",
    "invert",
    "posterise",
    "tint",
    "dusk",
)
DETAIL_OPS = ("blur", "sharpen", "pixelate")
PHOTO_OPS = (*TONE_OPS, *DETAIL_OPS)
# operations that never change a picture: "leave it as it is", and what the grammar cannot say
IDLE_OPS = ("nothing", "unknown")
OPS = (*OBJECT_OPS, "background", *PHOTO_OPS, *IDLE_OPS)
AMOUNTS = ("slight", "strong")  # "none" is the usual amount
# operations that come in amounts
GRADED = (
    "brighter",
    "darker",
    "contrast",
    "flatten",
    "warmer",
    "cooler",
    "saturate",
    "mute",
    "fade",
    "vignette",
    "tint",
    "blur",
    "sharpen",
    "pixelate",
)
HALVES = ("left half", "right half", "top half", "bottom half")
CORNERS = ("top left corner", "top right corner", "bottom left corner", "bottom right corner")
RANGES = ("dark parts", "bright parts")
# "colour parts" are the pixels of the target's colour, "other colours" are all but those
WHERES = (*HALVES, *CORNERS, "center", "edges", *RANGES, "colour parts", "other colours")
# pasted on a photograph by the generator, beside the named cut-outs of `training.stamps`
MARKS = ("text", "scratch", "stain", "date")
HUES = ("red", "orange", "yellow", "green", "blue", "purple")  # colours that parts can have

__all__ = ["COLOURS", "KINDS", "PLACES", "SIZES"]
