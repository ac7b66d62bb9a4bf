"""`/api/v1/openapi.json`, and `/api/v1/docs`, Swagger UI."""

from typing import Any

import flask_smorest
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Blueprint, Flask, Response, abort

from tradingbot_registry.rest.problem_schema import ProblemSchema
from tradingbot_registry.rest.problems import MEDIA_TYPE
from tradingbot_registry.rest.static_files import CONTENT_TYPES, NPM, file_response, protected

DESCRIPTION = """
An inventory of infrastructure: API endpoints, databases, deployments, and what depends on what.

- **Errors** are `application/problem+json` (RFC 9457): `type` is stable, `detail` says what to do,
  `errors` names everything that is wrong with a request, `request_id` finds it in the log.
- **Concurrent edits**: every asset has an `ETag`. Send it as `If-Match`, and your write goes
  through only if nobody else's came between.
- **Effective status**: an asset whose dependencies have failed is `Degraded`, and `causedBy` says
  which ones.
- **Credentials are never stored**: name a Secret in `secretRef`.
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Asset registry API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript; the document itself is at openapi.json.</noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""

START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 1,
  displayRequestDuration: true,
  tryItOutEnabled: true,
  validatorUrl: null
});
"""

FILES = frozenset({"swagger-ui.css", "swagger-ui-bundle.js"})
DIRECTORY = NPM / "swagger-ui-dist"


class _Converter(OpenAPIConverter):
    """apispec's converter, with what a schema says in keywords of its own."""

    def schema2jsonschema(self, schema: Any) -> dict[str, Any]:
        found: dict[str, Any] = super().schema2jsonschema(schema)  # type: ignore[no-untyped-call]
        return {**found, **getattr(schema, "also_documented", {})}


class _Plugin(MarshmallowPlugin):
    """apispec's plugin with that converter."""

    Converter = _Converter


class RestApi(flask_smorest.Api):  # type: ignore[misc]
    """The OpenAPI document, with problems as errors."""

    ERROR_SCHEMA = ProblemSchema
    DEFAULT_ERROR_RESPONSE_NAME = None

    def __init__(self, app: Flask) -> None:
        super().__init__(app, spec_kwargs={"marshmallow_plugin": _Plugin()})

    def _register_error_handlers(self) -> None:
        """Leave errors to `rest.errors`, which answers for every route of the app."""

    def _register_responses(self) -> None:
        """Document as a problem what flask-smorest documents by itself: a bad request."""
        self.spec.components.response(
            "UNPROCESSABLE_ENTITY",
            {
                "description": "The request is not valid.",
                "content": {MEDIA_TYPE: {"schema": ProblemSchema}},
            },
            lazy=True,
        )

    def _register_etag_headers(self) -> None:
        """Leave them to the views, which document their own."""

    def _register_pagination_header(self) -> None:
        """Leave it to the view, which documents its own."""


def configuration(version: str, *, login: bool) -> dict[str, Any]:
    """Return flask-smorest's configuration. With `login`, operations need a bearer token."""
    options: dict[str, Any] = {
        "info": {"description": DESCRIPTION, "license": {"name": "Apache-2.0"}},
        "servers": [{"url": "/"}],
    }
    if login:
        options["components"] = {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Token of a Kubernetes ServiceAccount or user.",
                }
            }
        }
        options["security"] = [{"bearer": []}]
    return {
        "API_TITLE": "Asset registry",
        "API_VERSION": version,
        "OPENAPI_VERSION": "3.1.0",
        "OPENAPI_URL_PREFIX": "/api/v1",
        "OPENAPI_JSON_PATH": "openapi.json",
        "API_SPEC_OPTIONS": options,
    }


def register(app: Flask) -> None:
    """Serve the page."""
    blueprint = Blueprint("docs", __name__)

    @blueprint.get("/api/v1/docs")
    def page() -> Response:
        return protected(Response(PAGE, content_type=CONTENT_TYPES[".html"]))

    @blueprint.get("/api/v1/docs/<name>")
    def file(name: str) -> Response:
        if name == "start.js":
            return protected(Response(START, content_type=CONTENT_TYPES[".js"]))
        if name not in FILES:
            abort(404)
        return file_response(DIRECTORY / name)

    app.register_blueprint(blueprint)
