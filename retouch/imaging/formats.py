"""Which picture files are taken, and what other files are called."""

from __future__ import annotations

import re

from PIL import features

from retouch import types

# first bytes of the formats that are taken; of RIFF and ftyp files the kind stands behind them
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
ADVICE = "send it as PNG, JPEG or WebP"
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
HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}


def is_known(data: bytes) -> bool:
    """Whether the first bytes are those of a format that is taken."""
    return bool(kind_of(data))


def kind_of(data: bytes) -> str:
    """The format that is taken and whose first bytes these are; empty where there is none."""
    if _brand(data) in AVIF_BRANDS:
        return "AVIF"
    return next((name for start, name in SIGNATURES.items() if data.startswith(start)), "")


def other_format(data: bytes) -> str:
    """What a file is that is not taken, as "a PDF"; empty where nobody knows."""
    brand = _brand(data)
    if brand in HEIF_BRANDS:
        return "a HEIC"
    if brand in AVIF_BRANDS and not features.check("avif"):
        return "an AVIF"
    if brand and brand not in AVIF_BRANDS:
        return "a video"
    if NETPBM.match(data):
        return "a Netpbm"
    head = data.lstrip()[:16] if data[:64].isascii() else data[:16]
    return next((name for start, name in NAMES.items() if head.startswith(start)), "")


def allowed() -> str:
    """The formats that are taken, for an error."""
    names = [{"WEBP": "WebP"}.get(name, name) for name in types.IMAGE_FORMATS]
    return ", ".join(names[:-1]) + " or " + names[-1]


def _brand(data: bytes) -> bytes:
    match = FTYP.match(data[:12])
    return match[1] if match else b""
