"""One picture made of another: `python -m golive.edge.image_work WIDTH QUALITY FORMAT`, bytes in, a line and bytes out.

In a process of its own with little memory and time, since the bytes are anybody's. The first line of what it says is
the type of the picture; when it ends with 1, its only line is why it refuses.
"""

from __future__ import annotations

import io
import resource
import sys
import warnings
from typing import Any, Final

PIXELS: Final = 40_000_000
"""Of a source; looked at before anything is decoded."""
MEMORY: Final = 1024 * 2**20
"""Address space: 40 million pixels in two copies, and the codecs."""
SECONDS: Final = 20
READ: Final = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")


def limit() -> None:
    """What this process may use."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def convert(source: bytes, width: int, quality: int, format: str) -> tuple[str, bytes]:
    """Pillow's name of the format and the picture. ValueError when it is none that is taken."""
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    own, picture = "", None
    try:
        with Image.open(io.BytesIO(source), formats=READ) as opened:
            own, fits = opened.format or "", opened.width * opened.height <= PIXELS
            if fits and getattr(opened, "is_animated", False):
                return own, source
            if fits:
                opened.draft("RGB", (width, width * opened.height // max(1, opened.width)))
                picture = ImageOps.exif_transpose(opened)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        pass
    except MemoryError:
        raise
    except Exception as error:  # what a decoder says about bytes that are none of its own is anything
        raise ValueError("this is no JPEG, PNG, WebP, GIF or AVIF picture") from error
    if picture is None:
        raise ValueError(f"the picture has more than {PIXELS // 10**6} million pixels")
    kind = format or ("PNG" if own == "GIF" else "JPEG" if own == "AVIF" else own)
    profile = picture.info.get("icc_profile") if picture.mode in ("RGB", "RGBA") else None
    clear = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    picture = picture.convert("RGBA" if clear and kind != "JPEG" else "RGB")
    if picture.width > width:
        height = max(1, round(picture.height * width / picture.width))
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    options: dict[str, Any] = {"quality": quality} if kind != "PNG" else {"optimize": True}
    if kind == "AVIF":
        options |= {"speed": 8, "max_threads": 1}
    if kind == "WEBP":
        options |= {"method": 4}
    made = io.BytesIO()
    picture.save(made, kind, icc_profile=profile, **options)
    return kind, made.getvalue()


def main(arguments: list[str]) -> int:
    """The command line."""
    limit()
    width, quality, format = arguments
    out = sys.stdout.buffer
    try:
        kind, made = convert(sys.stdin.buffer.read(), int(width), int(quality), format)
    except ValueError as error:
        out.write(str(error).encode())
        return 1
    except MemoryError:
        out.write(b"the picture needs too much memory")
        return 1
    out.write(kind.encode() + b"\n" + made)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
