"""Files of pages, with a Content-Security-Policy that allows no other origin and no inline code.

`npm` has the files of npm's packages, which `hack/npm_files.py` writes, with their licences.
"""

import hashlib
from functools import cache
from pathlib import Path

from flask import Response, request

NPM = Path(__file__).parent / "npm"

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
}


@cache
def _read(path: Path) -> tuple[bytes, str]:
    # By content: in the image, all files have the same time.
    content = path.read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:32]


def file_response(path: Path) -> Response:
    """Return the file, or 304. Browsers keep it, and ask each time whether it is still current."""
    content, digest = _read(path)
    response = protected(Response(content, content_type=CONTENT_TYPES[path.suffix]))
    response.set_etag(digest)
    response.make_conditional(request)
    return response


def protected(response: Response) -> Response:
    """Add the headers of a page."""
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
