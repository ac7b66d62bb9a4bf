"""flask-smorest's blueprint with types, and with this API's bodies and problems."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import flask_smorest
import marshmallow as ma

from tradingbot_registry.refusals import (
    AnswerGoneError,
    AssetNotFoundError,
    CycleError,
    DependentsError,
    ForbiddenError,
    HistoryGoneError,
    InvalidError,
    KeyReusedError,
    NotReadyError,
    OutcomeUnknownError,
    OwnerError,
    PreconditionFailedError,
    RefusedError,
    StorageError,
    StorageFullError,
    TransitionError,
    UnauthenticatedError,
    UnavailableError,
)
from tradingbot_registry.rest.body import JSON, ProblemParser
from tradingbot_registry.rest.problem_schema import ProblemSchema
from tradingbot_registry.rest.problems import (
    KINDS,
    MEDIA_TYPE,
    DefectError,
    MalformedError,
    TooLargeError,
    UnsupportedMediaTypeError,
)

HEADERS = "headers"
"""Where a view keeps the request headers to document, beside flask-smorest's own notes."""

F = TypeVar("F", bound=Callable[..., Any])
V = TypeVar("V")


Kinds = tuple[type[RefusedError], ...]

EVERYWHERE: Kinds = (
    UnauthenticatedError,
    ForbiddenError,
    InvalidError,
    DefectError,
    StorageError,
    UnavailableError,
)
WRITE_ERRORS: Kinds = (
    MalformedError,
    TooLargeError,
    UnsupportedMediaTypeError,
    CycleError,
    TransitionError,
    NotReadyError,
    DependentsError,
    PreconditionFailedError,
    StorageFullError,
    OutcomeUnknownError,
)
REPORT_ERRORS: Kinds = (
    MalformedError,
    TooLargeError,
    UnsupportedMediaTypeError,
    StorageFullError,
    OutcomeUnknownError,
)
REPEATED_ERRORS: Kinds = (KeyReusedError, AnswerGoneError)
HISTORY_ERRORS: Kinds = (HistoryGoneError,)
BY_ID_ERRORS: Kinds = (AssetNotFoundError,)
DELETE_ERRORS: Kinds = (
    MalformedError,
    DependentsError,
    PreconditionFailedError,
    StorageFullError,
    OutcomeUnknownError,
)
USER_ERRORS: Kinds = (OwnerError,)


class RestBlueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A group of routes with generated documentation."""

    ARGUMENTS_PARSER = ProblemParser()

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # flask-smorest's list of what documents an operation; a decorator's own `parameters`
        # would replace the query parameters rather than join them.
        self._prepare_doc_cbks.append(self._prepare_headers_doc)

    def at(
        self, rule: str, parameters: list[dict[str, Any]] | None = None
    ) -> Callable[[type[V]], type[V]]:
        """Serve a view class at this path."""
        decorate: Callable[[type[V]], type[V]] = self.route(rule, parameters=parameters)
        return decorate

    def alt_response(self, status_code: int, *args: Any, **options: Any) -> Callable[[F], F]:
        """Document another answer, as flask-smorest does, but without a call around the view.

        A view documents up to ten of them.
        """
        document = super().alt_response(status_code, *args, **options)

        def decorate(view: F) -> F:
            documented: Any = view
            documented._apidoc = document(view)._apidoc  # noqa: SLF001
            return view

        return decorate

    def takes(
        self, schema: type[ma.Schema], *, location: str = "json", **options: Any
    ) -> Callable[[F], F]:
        """Pass the validated content of `location` to the view as its first argument."""
        decorate: Callable[[F], F] = self.arguments(
            schema(),  # Once: a class is instantiated for each request.
            location=location,
            **options,
        )
        return decorate

    def reads(
        self,
        schema: type[ma.Schema],
        media_type: str = JSON,
        *,
        examples: Mapping[str, Any] | None = None,
    ) -> Callable[[F], F]:
        """Document the body, which the view reads itself: what it may be depends on the asset."""
        content: dict[str, Any] = {"schema": schema}
        if examples:
            content["examples"] = examples
        return self.documents(requestBody={"required": True, "content": {media_type: content}})

    def answers(
        self,
        status: int,
        schema: ma.Schema | type[ma.Schema] | dict[str, Any] | None = None,
        *,
        description: str,
        headers: Mapping[str, Any] | None = None,
    ) -> Callable[[F], F]:
        """Document and serialise the successful answer. A schema that is a dict only documents."""
        decorate: Callable[[F], F] = self.response(
            status, schema, description=description, headers=headers
        )
        return decorate

    def also_answers(
        self,
        status: int,
        schema: ma.Schema | type[ma.Schema] | dict[str, Any] | None = None,
        *,
        description: str,
        content_type: str = JSON,
    ) -> Callable[[F], F]:
        """Document another answer that is not a problem."""
        return self.alt_response(
            status,
            schema=schema,
            description=description,
            success=True,
            content_type=content_type,
        )

    def refuses(self, *groups: Kinds) -> Callable[[F], F]:
        """Document the problems that an operation can return."""
        by_status: dict[int, list[type[RefusedError]]] = {}
        for kind in (kind for group in (EVERYWHERE, *groups) for kind in group):
            by_status.setdefault(KINDS[kind].status, []).append(kind)

        def decorate(view: F) -> F:
            for status, kinds in by_status.items():
                view = self.alt_response(
                    status,
                    schema=ProblemSchema,
                    content_type=MEDIA_TYPE,
                    description=" ".join(_sentence(kind) for kind in kinds),
                    examples={KINDS[kind].slug: _example(kind) for kind in kinds},
                )(view)
            return view

        return decorate

    def heeds(self, *headers: Mapping[str, Any]) -> Callable[[F], F]:
        """Document request headers that the view reads."""

        def decorate(view: F) -> F:
            documented: Any = view
            documented._apidoc = {**getattr(view, "_apidoc", {}), HEADERS: headers}  # noqa: SLF001
            return view

        return decorate

    @staticmethod
    def _prepare_headers_doc(
        doc: dict[str, Any], doc_info: Mapping[str, Any], **_: Any
    ) -> dict[str, Any]:
        doc.setdefault("parameters", []).extend(doc_info.get(HEADERS, ()))
        return doc

    def documents(self, **operation: Any) -> Callable[[F], F]:
        """Add to the description of the operation."""
        decorate: Callable[[F], F] = self.doc(**operation)
        return decorate


def ref_to(schema: str) -> dict[str, str]:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{schema}"}


def _sentence(kind: type[RefusedError]) -> str:
    return (kind.__doc__ or KINDS[kind].title).split("\n\n")[0].replace("\n    ", " ")


def _example(kind: type[RefusedError]) -> dict[str, Any]:
    return {
        "summary": KINDS[kind].title,
        "value": {
            "type": KINDS[kind].type,
            "title": KINDS[kind].title,
            "status": KINDS[kind].status,
            "detail": _sentence(kind),
            "instance": "/api/v1/assets",
            "request_id": "0b5a3d1c9e7f4a62",
        },
    }
