"""Picture files as people have them: colours, transparency, odd containers, and what answers keep
of them."""

from __future__ import annotations

import copy
import dataclasses
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from pictures import file_of, scene
from retouch.api.errors import Cancelled, RequestError
from retouch.api.request import EditRequest
from retouch.api.response import EditInfo
from retouch.families.registry import family_of
from retouch.imaging import images
from retouch.routing.router import Choice
from retouch.serving.postprocess import postprocess
from retouch.serving.preprocess import preprocess
from retouch.serving.source_image import SourceImage

FAMILY = family_of("instructx", {"patch": 8, "shift": 3.0})
CHOICE = Choice("bf16", "")
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
WIDE = ((0.7347, 0.2653), (0.1152, 0.8264), (0.1566, 0.0177))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(data: bytes, added: bytes) -> bytes:
    """A PNG with a chunk behind its header."""
    return data[:33] + added + data[33:]


def profile(primaries: tuple, gamma: float = 2.2) -> bytes:
    """A matrix profile of ICC version 2 with these chromaticities and D65 as white."""
    red, green, blue, white = (
        [x / y, 1, (1 - x - y) / y] for x, y in (*primaries, (0.3127, 0.3290))
    )
    columns = np.array([red, green, blue]).T
    matrix = columns * np.linalg.solve(columns, white)
    bradford = np.array(
        [[1.0479, 0.0229, -0.0502], [0.0296, 0.9904, -0.0171], [-0.0092, 0.0151, 0.7519]]
    )
    columns = (bradford @ matrix).T

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {b"wtpt": (0.9642, 1.0, 0.8249)} | dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns))
    bodies = {name: b"XYZ " + bytes(4) + b"".join(map(fixed, xyz)) for name, xyz in tags.items()}
    bodies |= {name: curve for name in (b"rTRC", b"gTRC", b"bTRC")}
    bodies |= {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"x\0" + bytes(78),
        b"cprt": b"text" + bytes(8),
    }
    table = b""
    data = b""
    offset = 132 + 12 * len(bodies)
    for name, body in bodies.items():
        body += bytes(-len(body) % 4)
        table += name + struct.pack(">II", offset + len(data), len(body))
        data += body
    head = bytes(4) + bytes(4) + b"\x02\x40\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += b"".join(map(fixed, (0.9642, 1.0, 0.8249)))
    head += bytes(128 - len(head))
    whole = head + struct.pack(">I", len(bodies)) + table + data
    return struct.pack(">I", len(whole)) + whole[4:]


def lab(file: bytes) -> np.ndarray:
    """CIE Lab [H, W, 3] of a file as a colour-managed viewer shows it."""
    image = Image.open(io.BytesIO(file)).convert("RGB")
    icc = image.info.get("icc_profile")
    source = ImageCms.getOpenProfile(io.BytesIO(icc)) if icc else ImageCms.createProfile("sRGB")
    shown = ImageCms.profileToProfile(
        image, source, ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    return np.asarray(shown).astype(np.int16)


def answer_to(file: bytes, format: str = "png", paint: int = 200) -> tuple[bytes, EditInfo]:
    """The answer when the left half becomes one colour of sRGB."""
    source = SourceImage.of(file, half_mask(file), format, FAMILY)
    picture = np.full((*source.bucket, 3), (30, paint, 30), np.uint8)
    info = EditInfo("", 0, "bf16", notes=source.notes())
    cells = np.zeros(source.grid[0] * source.grid[1], bool)
    cells[0] = True
    answer = postprocess(source, cells, picture, (1, 1), info)
    return answer.image, answer.info


def half_mask(file: bytes) -> bytes:
    width, height = images.upright_size(file)
    mask = np.zeros((height, width), np.uint8)
    mask[:, : width // 2] = 255
    return file_of(mask)


@pytest.mark.parametrize("primaries", (P3, ADOBE, WIDE), ids=("P3", "Adobe RGB", "ProPhoto"))
@pytest.mark.parametrize("format", ("PNG", "TIFF"))
def test_colours_outside_the_region_are_the_same(primaries, format):
    file = file_of(scene(), format, icc_profile=profile(primaries))
    answer, _ = answer_to(file)
    np.testing.assert_array_equal(lab(answer)[:, 64:], lab(file)[:, 64:])


@pytest.mark.parametrize("primaries", (P3, ADOBE, WIDE), ids=("P3", "Adobe RGB", "ProPhoto"))
def test_an_edit_has_the_colour_that_the_network_gave_it(primaries):
    """The painted half looks as the same paint in an sRGB photo."""
    managed, _ = answer_to(file_of(scene(), icc_profile=profile(primaries)))
    plain, _ = answer_to(file_of(scene()))
    assert np.abs(lab(managed)[:, :60] - lab(plain)[:, :60]).max() <= 2


@pytest.mark.parametrize("primaries", (P3, ADOBE))
def test_networks_see_srgb(primaries):
    icc = profile(primaries)
    seen = images.decode(file_of(scene(), icc_profile=icc))
    expected = ImageCms.profileToProfile(
        Image.fromarray(scene()),
        ImageCms.getOpenProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    assert np.abs(seen.astype(int) - np.asarray(expected)).max() <= 2
    assert np.abs(seen.astype(int) - scene()).max() > 8


def test_a_profile_that_says_srgb_changes_nothing():
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = images.decode_photo(file_of(scene(), icc_profile=icc))
    np.testing.assert_array_equal(photo.srgb(), scene())
    assert photo.icc is None


@pytest.mark.parametrize(
    "icc", (b"junk", bytes(200), profile(P3)[:300]), ids=("text", "zeros", "cut")
)
def test_a_broken_profile_is_not_used(icc):
    np.testing.assert_array_equal(images.decode(file_of(scene(), icc_profile=icc)), scene())


@pytest.mark.parametrize(
    ("added", "is_changed"),
    [
        (chunk(b"gAMA", struct.pack(">I", 100_000)), True),
        (chunk(b"gAMA", struct.pack(">I", 45_455)), False),
        (chunk(b"sRGB", b"\0") + chunk(b"gAMA", struct.pack(">I", 100_000)), False),
        (chunk(b"cICP", bytes((12, 13, 0, 1))), True),
        (chunk(b"cICP", bytes((1, 13, 0, 1))), False),
        (
            chunk(
                b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
            ),
            True,
        ),
        (chunk(b"cHRM", bytes(32)), False),
    ],
    ids=("linear", "sRGB's gamma", "sRGB wins", "P3", "BT.709", "chromaticities", "zeros"),
)
def test_colours_of_png_chunks(added, is_changed):
    seen = images.decode(with_chunk(file_of(scene()), added))
    assert (np.abs(seen.astype(int) - scene()).max() > 8) == is_changed


def test_p3_by_cicp_and_by_a_profile_are_one_picture():
    by_chunk = images.decode(with_chunk(file_of(scene()), chunk(b"cICP", bytes((12, 4, 0, 1)))))
    by_profile = images.decode(file_of(scene(), icc_profile=profile(P3)))
    assert np.abs(by_chunk.astype(int) - by_profile).max() <= 3


def test_cmyk_is_a_picture():
    image = Image.fromarray(scene()).convert("CMYK")
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95)
    assert np.abs(images.decode(out.getvalue()).astype(int) - scene()).mean() < 8


def see_through(mode: str = "RGBA") -> Image.Image:
    image = Image.fromarray(scene()).convert("RGBA")
    alpha = np.full((128, 128), 255, np.uint8)
    alpha[:, 96:] = 0
    alpha[:32, 64:96] = 100
    image.putalpha(Image.fromarray(alpha))
    return image.convert(mode)


@pytest.mark.parametrize("format", ("png", "webp"))
@pytest.mark.parametrize("mode", ("RGBA", "LA"))
def test_transparency_is_kept(mode, format):
    out = io.BytesIO()
    see_through(mode).save(out, "PNG")
    answer, info = answer_to(out.getvalue(), format)
    source = np.asarray(Image.open(io.BytesIO(out.getvalue())).convert("RGBA"))
    result = np.asarray(Image.open(io.BytesIO(answer)).convert("RGBA"))
    np.testing.assert_array_equal(result[:, 64:, 3], source[:, 64:, 3])
    assert (result[:, :60, 3] == 255).all() and info.notes == []
    if format == "png":
        np.testing.assert_array_equal(result[:, 64:], source[:, 64:])


def test_what_lay_in_a_palette_is_kept():
    image = Image.fromarray(scene()).quantize(16)
    out = io.BytesIO()
    image.save(out, "PNG", transparency=0)
    answer, _ = answer_to(out.getvalue())
    source = np.asarray(Image.open(io.BytesIO(out.getvalue())).convert("RGBA"))
    result = np.asarray(Image.open(io.BytesIO(answer)).convert("RGBA"))
    np.testing.assert_array_equal(result[:, 64:, 3], source[:, 64:, 3])
    assert (source[:, 64:, 3] == 0).any() or (source[:, :64, 3] == 0).any()


def test_jpeg_has_no_transparency_and_says_so():
    out = io.BytesIO()
    see_through().save(out, "PNG")
    answer, info = answer_to(out.getvalue(), "jpeg")
    assert np.asarray(Image.open(io.BytesIO(answer)))[:, 110:].min() > 240
    assert ["transparency" in note for note in info.notes] == [True]


@pytest.mark.parametrize("mode", ("RGBA", "LA"))
def test_a_picture_that_shows_nothing_is_refused(mode):
    out = io.BytesIO()
    Image.new(mode, (64, 64)).save(out, "PNG")
    with pytest.raises(RequestError, match="transparent all over"):
        answer_to(out.getvalue())


def test_sixteen_bit_grey_with_a_clear_level():
    levels = np.full((32, 32), 0x8000, np.uint16)
    levels[:, 16:] = 0x1234
    out = io.BytesIO()
    Image.fromarray(levels).save(out, "PNG", transparency=0x1234)
    photo = images.decode_photo(out.getvalue())
    assert photo.alpha[0, 0] == 255 and photo.alpha[0, 20] == 0
    assert any("16 bits" in note for note in photo.notes)


@pytest.mark.parametrize("format", ("TIFF", "GIF", "BMP", "AVIF"))
def test_other_formats_are_read(format):
    assert images.decode(file_of(scene(), format)).shape == (128, 128, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\0\0\0\x18ftypheic" + bytes(80), "HEIC file that is damaged"),
        (b"\xff\x0a" + bytes(80), "JPEG XL file"),
        (b"8BPS" + bytes(80), "Photoshop file"),
        (b"%PDF-1.7" + bytes(80), "PDF file"),
        (b"  <svg xmlns=''></svg>", "SVG file"),
        (b"\0\0\0\x18ftypmp42" + bytes(80), "video file"),
        (b"P6\n4 4\n255\n" + bytes(48), "Netpbm file"),
        (b"P1 2 2 0 1 1 0 ", "Netpbm file"),
        (b"%!PS-Adobe-3.0", "PostScript file"),
        (b"\xff\x4f\xff\x51" + bytes(80), "JPEG 2000 file"),
        (b"GIF89a" + bytes(80), "GIF file that is damaged"),
        (b"BM" + bytes(80), "BMP file that is damaged"),
        (b"II+\0" + bytes(80), "TIFF file that is damaged"),
    ],
)
def test_files_of_another_kind_are_named(data, message):
    with pytest.raises(RequestError, match=message):
        images.decode(data)


def progressive(scans: int) -> bytes:
    """A progressive JPEG with a scan repeated until there are so many."""
    file = file_of(scene(), "JPEG", progressive=True)
    last = file.rindex(b"\xff\xda")
    return file[:last] + file[last:-2] * (scans - file.count(b"\xff\xda") + 1) + file[-2:]


@pytest.mark.parametrize("scans", (101, 600))
def test_many_scans_are_refused(scans):
    with pytest.raises(RequestError, match="more than 100 scans"):
        images.decode(progressive(scans))


def test_usual_scans_are_not():
    assert images.decode(file_of(scene(), "JPEG", progressive=True)).shape == (128, 128, 3)


@pytest.mark.parametrize("format", ("PNG", "JPEG", "WEBP", "TIFF", "BMP"))
@pytest.mark.parametrize(
    "failure", (Cancelled(), RequestError("late", "DEADLINE_EXCEEDED")), ids=("left", "late")
)
def test_decoding_ends_when_nobody_waits(format, failure):
    def check():
        raise failure

    with pytest.raises(type(failure)):
        images.decode_photo(file_of(scene(), format), check=check)


def test_a_large_file_is_asked_about_often():
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    calls = []
    images.decode_photo(file_of(noise, "JPEG"), check=lambda: calls.append(1))
    assert len(calls) > 10


@pytest.mark.parametrize("options", ({}, {"progressive": True}, {"subsampling": 2}))
@pytest.mark.parametrize("cut", (1, 2))
def test_a_jpeg_without_its_end_marker_is_whole(options, cut):
    file = file_of(scene(), "JPEG", **options)
    np.testing.assert_array_equal(images.decode(file[:-cut]), images.decode(file))


@pytest.mark.parametrize("share", (0.5, 0.9, 0.98))
@pytest.mark.parametrize("options", ({}, {"progressive": True}))
def test_a_cut_jpeg_is_refused(options, share):
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    file = file_of(noise, "JPEG", **options)
    with pytest.raises(RequestError, match="damaged or truncated"):
        images.decode(file[: int(len(file) * share)])


@pytest.mark.parametrize(
    "added",
    [
        chunk(b"pHYs", b"\0\0\x0b"),
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(3 << 20))),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b" " * (2 << 20)),
        chunk(b"tIME", b"x" * 40),
        chunk(b"gAMA", b"1"),
        chunk(b"pHYs", bytes(9))[:-1] + b"\x01",
    ],
    ids=("short pHYs", "large text", "large XMP", "long tIME", "short gAMA", "wrong checksum"),
)
def test_chunks_that_no_picture_needs_spoil_none(added):
    np.testing.assert_array_equal(images.decode(with_chunk(file_of(scene()), added)), scene())


def test_a_large_profile_is_read():
    icc = profile(P3)
    icc = (
        struct.pack(">I", len(icc) + (2 << 20)) + icc[4:] + np.random.default_rng(0).bytes(2 << 20)
    )
    assert images.decode_photo(file_of(scene(), icc_profile=icc)).icc is not None


def test_xmp_alone_turns_nothing():
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
        b"</rdf:RDF></x:xmpmeta>"
    )
    file = file_of(scene(160, 96), "JPEG", xmp=xmp)
    assert images.decode(file).shape == (96, 160, 3)


@pytest.mark.parametrize("orientation", (5, 6, 7, 8))
def test_a_mask_as_stored_is_turned_with_its_photo(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = scene(160, 96)
    mask = np.zeros((96, 160), np.uint8)
    mask[:20, :30] = 255
    photo = file_of(stored, "PNG", exif=exif)
    upright_mask = images.decode(file_of(np.dstack([mask] * 3), "PNG", exif=exif))[:, :, 0] > 127
    for file in (
        file_of(mask),
        file_of(mask, "PNG", exif=exif),
        file_of(upright_mask.astype(np.uint8) * 255),
    ):
        np.testing.assert_array_equal(
            SourceImage.of(photo, file, "png", FAMILY).region, upright_mask
        )


def animated(format: str) -> bytes:
    out = io.BytesIO()
    frames = [Image.fromarray(scene()), Image.fromarray(scene()[::-1])]
    options = {"lossless": True} if format == "WEBP" else {}
    frames[0].save(out, format, save_all=True, append_images=frames[1:], **options)
    return out.getvalue()


@pytest.mark.parametrize("format", ("GIF", "WEBP", "PNG", "AVIF", "TIFF"))
def test_the_first_frame_is_edited_where_it_is_asked_for(format):
    file = animated(format)
    request = EditRequest(file, "sharpen", region=b"full", format="jpeg;first_frame")
    prepared = preprocess(request, CHOICE, FAMILY)
    assert np.abs(prepared.source.photo.pixels.astype(int) - scene()).mean() < 6
    assert prepared.source.format.name == "jpeg"


@pytest.mark.parametrize("format", ("GIF", "WEBP", "PNG"))
def test_animations_are_refused_with_what_to_do(format):
    with pytest.raises(
        RequestError, match="2 frames; .*, or FORMAT png;first_frame to edit the first"
    ):
        preprocess(EditRequest(animated(format), "sharpen", region=b"full"), CHOICE, FAMILY)


def test_a_still_picture_may_be_asked_for_its_first_frame():
    request = EditRequest(
        file_of(scene()), "sharpen", region=b"full", format="png;first_frame;level=9"
    )
    np.testing.assert_array_equal(preprocess(request, CHOICE, FAMILY).source.photo.pixels, scene())


def test_references_too_give_their_first_frame():
    family = copy.copy(FAMILY)
    object.__setattr__(family, "max_references", 1)
    request = EditRequest(
        file_of(scene()),
        "sharpen",
        region=b"full",
        format="png;first_frame",
        references=(animated("PNG"),),
    )
    (reference,) = preprocess(request, CHOICE, family).references
    np.testing.assert_array_equal(reference, scene())
    with pytest.raises(RequestError, match="REFERENCES has 2 frames"):
        preprocess(dataclasses.replace(request, format="png"), CHOICE, family)


@pytest.mark.parametrize("level", (0, 1, 9))
def test_png_levels_give_the_same_pixels(level):
    np.testing.assert_array_equal(
        images.decode(images.encode(scene(), "png", level=level)), scene()
    )
