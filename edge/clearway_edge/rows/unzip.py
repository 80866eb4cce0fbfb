"""Gzip, recognised by its first bytes."""

from __future__ import annotations

import gzip
import io
from typing import IO, cast

GZIP_MAGIC = b"\x1f\x8b"


def unzipped(stream: IO[bytes]) -> IO[bytes]:
    """Return the stream, unpacked if it begins like gzip."""
    peek = cast("io.BufferedReader", stream).peek(2)[:2]
    return cast("IO[bytes]", gzip.GzipFile(fileobj=stream)) if peek == GZIP_MAGIC else stream
