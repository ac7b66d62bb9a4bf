"""The base of every schema of the REST API."""

from typing import Any, Self

import marshmallow as ma


class Schema(ma.Schema):
    """A schema that nobody changes once it is made, so that a copy of it is the schema itself.

    flask-smorest and apispec copy the documentation of every view several times: at each decorator,
    and when an application is created. With the schemas, that was most of the registry's start.
    """

    def __deepcopy__(self, _: dict[int, Any]) -> Self:
        return self
