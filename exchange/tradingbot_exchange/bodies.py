"""Bodies of requests, as any client may send them."""

from aiohttp import web


async def read_body(request: web.BaseRequest) -> bytes:
    """Return the body, decoded. Raises HTTPBadRequest if its Content-Encoding is not what it is."""
    try:
        return await request.read()
    except web.RequestPayloadError as error:
        raise web.HTTPBadRequest(text="the body can't be decoded") from error
