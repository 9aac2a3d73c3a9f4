"""What a public file is, judged by its name alone: content type, worth compressing, named after its content.

The table is complete in itself because `mimetypes` reads the machine's own files: the same input would give another
artifact elsewhere. Types follow the IANA registry and, for scripts, RFC 9239.
"""

from __future__ import annotations

import re
from itertools import pairwise

_TEXT = {
    "html": "text/html", "htm": "text/html", "xhtml": "application/xhtml+xml", "css": "text/css",
    "js": "text/javascript", "mjs": "text/javascript", "cjs": "text/javascript", "txt": "text/plain",
    "text": "text/plain", "log": "text/plain", "md": "text/markdown", "markdown": "text/markdown",
    "csv": "text/csv", "tsv": "text/tab-separated-values", "vtt": "text/vtt", "ics": "text/calendar",
    "vcf": "text/vcard", "xml": "application/xml", "xsl": "application/xslt+xml", "xslt": "application/xslt+xml",
    "rss": "application/rss+xml", "atom": "application/atom+xml", "yaml": "application/yaml",
    "yml": "application/yaml", "toml": "application/toml", "srt": "application/x-subrip", "svg": "image/svg+xml",
}  # fmt: skip
"""Text: sent with charset=utf-8, compressed."""

_PLAIN = {
    "json": "application/json", "map": "application/json", "webmanifest": "application/manifest+json",
    "jsonld": "application/ld+json", "geojson": "application/geo+json", "topojson": "application/json",
    "jsonl": "application/jsonl", "ndjson": "application/x-ndjson", "wasm": "application/wasm",
    "ttf": "font/ttf", "otf": "font/otf", "ttc": "font/collection", "eot": "application/vnd.ms-fontobject",
    "ico": "image/vnd.microsoft.icon", "bmp": "image/bmp", "tif": "image/tiff", "tiff": "image/tiff",
    "gltf": "model/gltf+json", "obj": "model/obj", "stl": "model/stl", "mpd": "application/dash+xml",
    "m3u8": "application/vnd.apple.mpegurl", "m3u": "audio/mpegurl", "rtf": "application/rtf",
    "ps": "application/postscript", "eps": "application/postscript", "ai": "application/postscript",
    "wav": "audio/wav", "aif": "audio/aiff", "aiff": "audio/aiff", "mid": "audio/midi", "midi": "audio/midi",
    "tar": "application/x-tar", "kml": "application/vnd.google-earth.kml+xml", "gpx": "application/gpx+xml",
    "pem": "application/x-pem-file", "cer": "application/pkix-cert", "crt": "application/x-x509-ca-cert",
    "appcache": "text/cache-manifest", "data": "application/octet-stream", "bin": "application/octet-stream",
    "onnx": "application/octet-stream", "sql": "application/sql", "sqlite": "application/vnd.sqlite3",
    "pgn": "application/vnd.chess-pgn", "doc": "application/msword", "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint", "parquet": "application/vnd.apache.parquet",
}  # fmt: skip
"""Compressed where it helps, no charset."""

_DENSE = {
    "png": "image/png", "apng": "image/apng", "jpg": "image/jpeg", "jpeg": "image/jpeg", "jfif": "image/jpeg",
    "gif": "image/gif", "webp": "image/webp", "avif": "image/avif", "heic": "image/heic", "heif": "image/heif",
    "jxl": "image/jxl", "jp2": "image/jp2", "woff": "font/woff", "woff2": "font/woff2", "mp4": "video/mp4",
    "m4v": "video/mp4", "webm": "video/webm", "ogv": "video/ogg", "mov": "video/quicktime", "avi": "video/x-msvideo",
    "mkv": "video/matroska", "ts": "video/mp2t", "m4s": "video/iso.segment", "mpeg": "video/mpeg",
    "mpg": "video/mpeg", "3gp": "video/3gpp", "mp3": "audio/mpeg", "m4a": "audio/mp4", "aac": "audio/aac",
    "oga": "audio/ogg", "ogg": "audio/ogg", "opus": "audio/ogg", "weba": "audio/webm", "flac": "audio/flac",
    "pdf": "application/pdf", "zip": "application/zip", "gz": "application/gzip", "tgz": "application/gzip",
    "br": "application/octet-stream", "zst": "application/zstd", "bz2": "application/x-bzip2",
    "xz": "application/x-xz", "7z": "application/x-7z-compressed", "rar": "application/vnd.rar",
    "jar": "application/java-archive", "apk": "application/vnd.android.package-archive",
    "ipa": "application/octet-stream", "dmg": "application/x-apple-diskimage", "exe": "application/octet-stream",
    "msi": "application/octet-stream", "deb": "application/vnd.debian.binary-package", "rpm": "application/x-rpm",
    "whl": "application/zip", "epub": "application/epub+zip", "glb": "model/gltf-binary",
    "usdz": "model/vnd.usdz+zip", "kmz": "application/vnd.google-earth.kmz", "swf": "application/vnd.adobe.flash.movie",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text", "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "pmtiles": "application/vnd.pmtiles", "mbtiles": "application/vnd.mapbox-vector-tile",
}  # fmt: skip
"""Compressed already: sent as it is."""

_BY_NAME = {
    "apple-app-site-association": "application/json",
    "security.txt": "text/plain; charset=utf-8",
    "_headers": "text/plain; charset=utf-8",
    "license": "text/plain; charset=utf-8",
    "readme": "text/plain; charset=utf-8",
}

_HASHED_FOLDERS = re.compile(r"(^|/)(_next/static|_app/immutable|_astro|_nuxt)/")
_BUNDLED = re.compile(r"(^|/)(assets|chunks|static/(js|css|media)|dist|build)/.*\.(m?js|css|map|woff2?)$")
_LAST_WORD = re.compile(r"[.-]([A-Za-z0-9_-]{8}|[0-9a-f]{8,64}|[A-Za-z0-9]{16,64})(\.[a-z0-9]{1,11}){1,2}$")


def content_type(path: str) -> str:
    """The Content-Type of a public file; application/octet-stream when its suffix is not known."""
    name = path.rsplit("/", 1)[-1].lower()
    if name in _BY_NAME:
        return _BY_NAME[name]
    suffix = name.rsplit(".", 1)[-1] if "." in name else ""
    if suffix in _TEXT:
        return f"{_TEXT[suffix]}; charset=utf-8"
    return _PLAIN.get(suffix) or _DENSE.get(suffix) or "application/octet-stream"


def worth_compressing(path: str) -> bool:
    """False for formats that are compressed already; an unknown suffix is tried, its margin decides."""
    return path.rsplit(".", 1)[-1].lower() not in _DENSE


def is_immutable(path: str) -> bool:
    """Whether the name is derived from the content, so that a browser may keep the file for a year unasked.

    A wrong yes pins a stale file in every browser, a wrong no costs one 304: so a doubtful name is a no. Pages are
    never immutable. Known: the hashed folders of Next, SvelteKit, Astro and Nuxt; hex digests (webpack, Parcel,
    Create React App); base64url and base32 digests of 8 (Vite, Rollup, esbuild); long digests (Django, Rails).
    """
    if path.endswith((".html", ".htm", ".xhtml")):
        return False
    if _HASHED_FOLDERS.search(path):
        return True
    match = _LAST_WORD.search(path.rsplit("/", 1)[-1])
    return match is not None and _looks_random(match[1], bundled=bool(_BUNDLED.search(path)))


def _looks_random(word: str, *, bundled: bool) -> bool:
    """Digests change between digits, capitals and small letters more often than words, dates and models do."""
    kinds = ["d" if c.isdigit() else "u" if c.isupper() else "l" if c.islower() else "-" for c in word]
    changes = sum(a != b for a, b in pairwise(kinds))
    hexadecimal = set(word) <= set("0123456789abcdef")
    needed = (3 if hexadecimal else 4) - (1 if bundled else 0)
    return "d" in kinds and len(set(kinds)) > 1 and ("-" not in kinds or bundled) and changes >= needed
