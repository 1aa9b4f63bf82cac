"""The images in a batch's folder, and the files that are skipped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from retouch.api.limits import IMAGE_FORMATS
from retouch.imaging import heic

SUFFIXES = {  # file suffixes by format in IMAGE_FORMATS
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
# files that macOS and Windows create in folders
SYSTEM_FILES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "icon\r")


@dataclass
class Listing:
    """Images, names of hidden files, counts of other files by suffix, and the count of folders."""

    images: list[Path] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    folders: int = 0

    def skipped(self) -> list[str]:
        """A message for each kind of skipped entry."""
        messages = []
        if self.hidden:
            messages.append(
                f"skipped {_count(len(self.hidden), 'hidden file')}: {_some(self.hidden)}"
            )
        if self.others:
            kinds = _some(
                [
                    f"{count} {suffix or 'without a suffix'}"
                    for suffix, count in sorted(self.others.items())
                ]
            )
            messages.append(
                f"skipped {_count(self.others.total(), 'file')} of other types: {kinds}; "
                f"image names end in {suffixes()}"
            )
        if self.folders:
            messages.append(f"skipped {_count(self.folders, 'folder')}")
        return messages


def listing(folder: Path, results: Path | None = None) -> Listing:
    """The entries of the folder, without its subfolders' contents and without `results`."""
    content = Listing()
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or is_system_file(path):
            content.hidden.append(path.name)
        elif path.is_dir():
            content.folders += not (results and results.exists() and path.samefile(results))
        elif path.suffix.lower() in IMAGES and path.is_file():
            content.images.append(path)
        else:
            content.others[path.suffix.lower()] += 1
    return content


def is_system_file(path: Path) -> bool:
    """Whether macOS or Windows created it: `._photo.jpg` is named like an image but is none."""
    return path.name.startswith("._") or any(
        part.lower() in SYSTEM_FILES for part in path.parts[-2:]
    )


def suffixes() -> str:
    return f"{', '.join(IMAGES[:-1])} or {IMAGES[-1]}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _some(names: list[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
