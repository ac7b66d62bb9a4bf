"""Bodies of requests, as any client may send them."""

import asyncio

from aiohttp import web

MAX_BODY = 256 * 1024
"""In bytes, of a client of an exchange. Bodies that are sent slowly wait in memory."""
_SECONDS = 10.0
"""For a whole body. aiohttp waits for ever after some that are not deflated as they say."""


async def read_body(request: web.BaseRequest) -> bytes:
    """Return the body, decoded.

    Raises HTTPBadRequest if its Content-Encoding is not what it is, or if the client has gone, and
    HTTPRequestTimeout.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            return await request.read()
    except web.RequestPayloadError as error:
        raise web.HTTPBadRequest(text="the body can't be decoded") from error
    except ConnectionError as error:
        raise web.HTTPBadRequest(text="the client has gone") from error
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text="the body has not come") from error
