"""`/`, the page that shows the inventory to people.

Its modules are in `page`, and use the public REST API only: the page itself needs no login, what it
shows does.
"""

from pathlib import Path

from flask import Blueprint, Flask, Response, abort

from tradingbot_registry.rest.static_files import NPM, file_response

DIRECTORY = Path(__file__).parent / "page"
INDEX = DIRECTORY / "index.html"
FILES = {path.name: path for path in DIRECTORY.iterdir() if path != INDEX} | {
    path.name: path for path in (NPM / "preact/preact.mjs", NPM / "dagre/dagre.esm.js")
}


def register(app: Flask) -> None:
    """Serve the page."""
    blueprint = Blueprint("page", __name__)

    @blueprint.get("/")
    def index() -> Response:
        return file_response(INDEX)

    @blueprint.get("/page/<name>")
    def file(name: str) -> Response:
        if name not in FILES:
            abort(404)
        return file_response(FILES[name])

    app.register_blueprint(blueprint)
