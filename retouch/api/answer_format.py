"""FORMAT: how an answer is encoded, and how the files of its request are read."""

from __future__ import annotations

from dataclasses import dataclass

from retouch.api.checks import Range, one_of, quoted, refuse

FORMATS = ("png", "jpeg", "webp")
# of jpeg: below it, unedited colours move by more than 0.5 in the mean (CIEDE2000)
DEFAULT_QUALITY = 98
# of webp: it keeps every pixel and is the default, for lossy files halve the resolution of colours
LOSSLESS = 100
DEFAULT_LEVEL = 1  # of png: level 6 takes four times as long and saves 1.5 % of a photo

QUALITY = Range(1, 100)
LEVEL = Range(0, 9)


@dataclass(frozen=True)
class Format:
    """`name` is one of FORMATS, `quality` of jpeg and webp, `level` of png. `base64` asks for text,
    because JSON cannot carry bytes (HTTP generate_stream). `first_frame` takes that of an animated
    file, which is refused otherwise."""

    name: str
    quality: int = DEFAULT_QUALITY
    base64: bool = False
    level: int = DEFAULT_LEVEL
    first_frame: bool = False


def parse_format(text: str) -> Format:
    """`jpeg;quality=80`, `png;level=6`, `png;base64` or `png;first_frame` → Format;
    RequestError."""
    name, *options = [part.strip() for part in text.lower().split(";")]
    if name not in FORMATS:
        refuse("FORMAT", f"{quoted(name)} is unknown; it must be {one_of(FORMATS)}")
    numbers = {"quality": LOSSLESS if name == "webp" else DEFAULT_QUALITY, "level": DEFAULT_LEVEL}
    for option in options:
        key, _, digits = option.replace(" ", "").partition("=")
        if key in numbers and digits.isascii() and digits.isdigit():
            numbers[key] = int(digits[:9])
        elif option not in ("base64", "first_frame"):
            refuse(
                "FORMAT",
                f"option {quoted(option)} is unknown; there are quality=1 to 100, level=0 to 9, "
                "first_frame and base64",
            )
    QUALITY("FORMAT", numbers["quality"], "quality")
    LEVEL("FORMAT", numbers["level"], "level")
    return Format(
        name, numbers["quality"], "base64" in options, numbers["level"], "first_frame" in options
    )


@dataclass(frozen=True)
class AnswerFormat:
    """The check of FORMAT."""

    allowed: str = f"{one_of(FORMATS)}, with options, as jpeg;quality=90"

    def __call__(self, name: str, value: str) -> None:
        parse_format(value)
