"""What lies in a batch's folder: images, and what is skipped and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from retouch.api.limits import IMAGE_FORMATS
from retouch.imaging import heic

SUFFIXES = {  # file names' ends by a format's name in IMAGE_FORMATS
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "AVIF": (".avif",),
    "HEIC": (".heic", ".heif"),
    "MPO": (".mpo",),
}
FORMATS = (*IMAGE_FORMATS, *["HEIC"] * heic.is_installed())
IMAGES = tuple(dict.fromkeys(suffix for name in FORMATS for suffix in SUFFIXES.get(name, ())))
CLUTTER = (
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "__macosx",
    "icon\r",
)  # what systems leave in folders


@dataclass
class Listing:
    """The images by name; the names of hidden files, other files counted by suffix, and folders."""

    images: list[Path] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    folders: int = 0

    def skipped(self) -> list[str]:
        """A sentence for each kind of what is no image."""
        sentences = []
        if self.hidden:
            sentences.append(
                f"skipped {_count(len(self.hidden), 'hidden file')}: {_some(self.hidden)}"
            )
        if self.others:
            kinds = _some(
                [
                    f"{count} {suffix or 'without a suffix'}"
                    for suffix, count in sorted(self.others.items())
                ]
            )
            sentences.append(
                f"skipped {_count(self.others.total(), 'file')} of other types: {kinds}; "
                f"images end in {suffixes()}"
            )
        if self.folders:
            sentences.append(f"skipped {_count(self.folders, 'folder')}")
        return sentences


def listing(folder: Path, results: Path | None = None) -> Listing:
    """What lies in the folder itself; `results` is not counted."""
    content = Listing()
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or is_clutter(path):
            content.hidden.append(path.name)
        elif path.is_dir():
            content.folders += not (results and results.exists() and path.samefile(results))
        elif path.suffix.lower() in IMAGES and path.is_file():
            content.images.append(path)
        else:
            content.others[path.suffix.lower()] += 1
    return content


def is_clutter(path: Path) -> bool:
    """Whether macOS or Windows made it: `._photo.jpg` has a picture's name and is none."""
    return path.name.startswith("._") or any(part.lower() in CLUTTER for part in path.parts[-2:])


def suffixes() -> str:
    return f"{', '.join(IMAGES[:-1])} or {IMAGES[-1]}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _some(names: list[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
