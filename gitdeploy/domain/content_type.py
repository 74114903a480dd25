"""What a file is, told by its name alone: the same answer on every machine and from every edge.

A machine's own tables (`/etc/mime.types`) differ, and a guess from the bytes is a way to be fooled.
"""

from __future__ import annotations

import re

UNKNOWN = "application/octet-stream"

TYPES: dict[str, str] = {
    ".aac": "audio/aac",
    ".apng": "image/apng",
    ".appcache": "text/cache-manifest; charset=utf-8",
    ".atom": "application/atom+xml",
    ".avif": "image/avif",
    ".bin": "application/octet-stream",
    ".bmp": "image/bmp",
    ".br": "application/x-brotli",
    ".bz2": "application/x-bzip2",
    ".cjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".doc": "application/msword",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".eot": "application/vnd.ms-fontobject",
    ".epub": "application/epub+zip",
    ".flac": "audio/flac",
    ".geojson": "application/geo+json",
    ".gif": "image/gif",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".gz": "application/gzip",
    ".htm": "text/html; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".ics": "text/calendar; charset=utf-8",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".jxl": "image/jxl",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4a": "audio/mp4",
    ".m4v": "video/mp4",
    ".map": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".mov": "video/quicktime",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".ppt": "application/vnd.ms-powerpoint",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".rss": "application/rss+xml",
    ".rtf": "application/rtf",
    ".svg": "image/svg+xml",
    ".tar": "application/x-tar",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".toml": "application/toml",
    ".ts": "video/mp2t",
    ".ttf": "font/ttf",
    ".txt": "text/plain; charset=utf-8",
    ".vtt": "text/vtt; charset=utf-8",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".weba": "audio/webm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xhtml": "application/xhtml+xml",
    ".xls": "application/vnd.ms-excel",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xml": "application/xml",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
    ".zst": "application/zstd",
}

COMPRESSIBLE = (
    "text/",
    "application/atom+xml",
    "application/geo+json",
    "application/json",
    "application/ld+json",
    "application/manifest+json",
    "application/rss+xml",
    "application/toml",
    "application/wasm",
    "application/xhtml+xml",
    "application/xml",
    "application/yaml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/svg+xml",
    "model/gltf+json",
)
"""Prefixes of the types that gzip makes smaller."""

SMALLEST_COMPRESSED = 512
"""Bytes. Below this a compressed answer is no shorter."""

HASHED_NAME = r"[.\-_][0-9a-f]{8,64}\.[^/]*$"
ONLY_DIGITS = r"[.\-_][0-9]{8,64}\.[^/]*$"
_HASHED = re.compile(HASHED_NAME)
_DATE = re.compile(ONLY_DIGITS)


def extension(path: str) -> str:
    """`.js` of `a/b.min.js`; "" when the last part has none. A dot file is all extension."""
    _, dot, end = path.rpartition("/")[2].rpartition(".")
    return dot + end if dot else ""


def of(path: str) -> str:
    return TYPES.get(extension(path).lower(), UNKNOWN)


def compressible(content_type: str) -> bool:
    return content_type.startswith(COMPRESSIBLE)


def has_content_hash(path: str) -> bool:
    """True for `app.3f2a9c1b.js`: such a name never stands for other bytes, so it may be kept for a year.

    Hexadecimal only, and not digits alone: `report-20240131.pdf` is a date, `jquery-carousel.js` a word;
    keeping those for a year would be wrong for a year, while asking again costs one 304.
    """
    return bool(_HASHED.search(path)) and not _DATE.search(path)


def is_asset(path: str) -> bool:
    """True when the name says it is a part of a page and no page: answering with HTML would break it."""
    kind = TYPES.get(extension(path).lower(), "")
    return has_content_hash(path) or (bool(kind) and "html" not in kind)
