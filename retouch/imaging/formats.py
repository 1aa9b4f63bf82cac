"""Accepted image formats, and the names of other formats for errors."""

from __future__ import annotations

import re

from PIL import features

from retouch.api.limits import IMAGE_FORMATS
from retouch.imaging import heic

# first bytes of accepted formats; in RIFF and ftyp files the format follows them
SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"RIFF": "WebP",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
}
FTYP = re.compile(rb"^....ftyp(....)", re.DOTALL)
MAX_AVIF_BYTES = 16 << 20  # its decoder blocks Python, for 0.16 s a MiB
ADVICE = "send it as PNG, JPEG or WebP"
HEIC_ADVICE = f"{ADVICE}, or install pillow-heif where the server runs"
NAMES = {
    b"\xff\x0a": "a JPEG XL",
    b"\0\0\0\x0cJXL ": "a JPEG XL",
    b"\0\0\0\x0cjP  ": "a JPEG 2000",
    b"8BPS": "a Photoshop",
    b"%PDF": "a PDF",
    b"<svg": "an SVG",
    b"<?xml": "an XML",
    b"<!DOCTYPE": "an HTML",
    b"<html": "an HTML",
    b"PK\x03\x04": "a ZIP",
    b"FUJIFILM": "a raw camera",
    b"\x1a\x45\xdf\xa3": "a video",
    b"{": "a JSON",
    b"\xff\x4f\xff\x51": "a JPEG 2000",
    b"DDS ": "a DDS",
    b"qoif": "a QOI",
    b"%!PS": "a PostScript",
    b"\xc5\xd0\xd3\xc6": "a PostScript",
    b"\0\0\1\0": "an icon",
    b"icns": "an icon",
    b"SIMPLE": "a FITS",
    b"\1\xda": "an SGI",
}
NETPBM = re.compile(rb"P[1-7fF]\s")
AVIF_BRANDS = (b"avif", b"avis")
GENERAL_BRANDS = (b"mif1", b"msf1")
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"heis", *GENERAL_BRANDS}


def is_known(data: bytes) -> bool:
    """Whether the first bytes are those of an accepted format."""
    return bool(kind_of(data))


def kind_of(data: bytes) -> str:
    """The accepted format with these first bytes; empty when there is none."""
    brand = _brand(data)
    if brand in AVIF_BRANDS:
        return "AVIF"
    if brand in HEIF_BRANDS and heic.is_installed():
        return "HEIC"
    return next((name for start, name in SIGNATURES.items() if data.startswith(start)), "")


def other_format(data: bytes) -> str:
    """The name of a format that is not accepted, such as "a PDF"; empty when it is unknown."""
    brand = _brand(data)
    if brand in HEIF_BRANDS and not heic.is_installed():
        return "a HEIC"
    if brand in AVIF_BRANDS and not features.check("avif"):
        return "an AVIF"
    if brand and brand not in (*AVIF_BRANDS, *HEIF_BRANDS):
        return "a video"
    if NETPBM.match(data):
        return "a Netpbm"
    head = data.lstrip()[:16] if data[:64].isascii() else data[:16]
    return next((name for start, name in NAMES.items() if head.startswith(start)), "")


def advice(name: str) -> str:
    """What to do with a file of a format that is not accepted."""
    return HEIC_ADVICE if name == "a HEIC" else ADVICE


def allowed() -> str:
    """The accepted formats, for an error."""
    names = [{"WEBP": "WebP"}.get(name, name) for name in IMAGE_FORMATS]
    return ", ".join(names[:-1]) + " or " + names[-1]


def _brand(data: bytes) -> bytes:
    """The brand of an ftyp file; empty for other files. A general brand is replaced by a compatible
    AVIF brand."""
    match = FTYP.match(data[:12])
    if not match:
        return b""
    if match[1] in GENERAL_BRANDS:
        end = min(int.from_bytes(data[:4], "big"), 256)
        others = {data[place : place + 4] for place in range(16, end, 4)}
        return next((brand for brand in AVIF_BRANDS if brand in others), match[1])
    return match[1]
