"""How the API puts an answer into JSON."""

from __future__ import annotations

import msgspec
from aiohttp import web


def json_answer(body: object, status: int = 200) -> web.Response:
    """The body as JSON. It is of this moment, so nobody may keep it."""
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
