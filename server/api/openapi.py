"""The OpenAPI 3.1 document, made from the routes that the router was made from."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from server import __version__
from server.api.routes import JSON, Route

__all__ = ["ErrorBody", "build_document"]

Json = dict[str, Any]
References = Mapping[Any, Json]
"""Model → the reference to its schema."""

_REFERENCE = "#/components/schemas/{model}"
_PLACE = re.compile(r"{([a-z_]+)(?::[^{}]*)?}")
_PARAMETERS = {
    "character_id": "A character's id.",
    "user_id": "A user's id.",
    "key_id": "An API key's id.",
    "message_id": "A message's id.",
    "window_id": "A memory window's id.",
    "pin_id": "A pin's id.",
    "item_id": "An item's id.",
    "lora": "A character's name in the LoRA registry.",
    "version": "A version's number, such as 3 or v3.",
    "grid": "A grid's id.",
    "sha256": "The sha256 of what is stored.",
}
_ABOUT = (
    "Chat with characters that remember. A credential is an API key or the owner's token as a bearer, or the session "
    "cookie that a sign-in link is exchanged for; with the cookie, unsafe methods need a matching Origin. An API key "
    "that is not bound to one user names a `user_id` in every request. Times are ISO 8601 in UTC."
)


class ErrorDetail(BaseModel):
    """`message` is a sentence for people; `code` and `details` are for programs."""

    code: str
    message: str
    details: dict[str, Any]


class ErrorBody(BaseModel):
    """What every error looks like."""

    error: ErrorDetail


def build_document(routes: Sequence[Route]) -> Json:
    """The document as JSON-ready data."""
    models: set[type[BaseModel]] = {ErrorBody}
    for route in routes:
        models.update(model for model in (route.request, route.response, route.query) if model is not None)
        models.update(route.events.values())
    # what goes in may leave out what has a default; what comes out always has it
    inputs = {route.request for route in routes} | {route.query for route in routes}
    ordered = sorted(models, key=lambda model: (model.__name__, model.__module__))
    references, schemas = models_json_schema(
        [(model, "validation" if model in inputs else "serialization") for model in ordered],
        ref_template=_REFERENCE,
    )
    by_model: References = {model: reference for (model, _), reference in references.items()}
    components = schemas.get("$defs", {})
    paths: dict[str, Json] = {}
    for route in routes:
        path = _PLACE.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, by_model, components)
    hidden = {_name(by_model[route.query]) for route in routes if route.query is not None}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Vestige", "version": __version__, "description": _ABOUT, "license": {"name": "MIT"}},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in components.items() if name not in hidden},
            "responses": {"Error": _content("An error.", {"application/json": by_model[ErrorBody]})},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or the owner's token."},
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "vestige_session",
                    "description": "A sign-in's session. The name ends in _PORT where the address has a port.",
                },
            },
        },
    }


def _operation(route: Route, by_model: References, components: Json) -> Json:
    places = _PLACE.findall(route.path)
    parameters: list[Json] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PARAMETERS.get(name, ""),
            "schema": {"type": "string"},
        }
        for name in places
    ]
    if route.query is not None:
        parameters += _query(components[_name(by_model[route.query])])
    operation: Json = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": parameters,
        "responses": {
            str(route.status): _answer(route, by_model),
            "default": {"$ref": "#/components/responses/Error"},
        },
        "security": [] if route.access == "open" else [{"bearer": []}, {"cookie": []}],
        "x-access": route.access,
    }
    if route.description:
        operation["description"] = route.description
    if route.request is not None or route.consumes != ("application/json",):
        schema = {} if route.request is None else by_model[route.request]
        contents = {kind: {"schema": schema if kind in JSON else {}} for kind in route.consumes}
        operation["requestBody"] = {"required": True, "content": contents}
    return operation


def _answer(route: Route, by_model: References) -> Json:
    if route.status == 204:
        return {"description": "Done."}
    schemas: Json = {}
    for kind in (*route.produces, *(("text/event-stream",) if route.events else ())):
        is_model = kind == "application/json" and route.response is not None
        schemas[kind] = by_model[route.response] if is_model and route.response is not None else {}
    if route.events:
        # 3.1 has no word for a stream of events: the data of each is one of these
        schemas["text/event-stream"] = {
            "anyOf": [{"title": name, **by_model[model]} for name, model in route.events.items()]
        }
    return _content("Done.", schemas)


def _content(description: str, schemas: Json) -> Json:
    return {"description": description, "content": {kind: {"schema": schema} for kind, schema in schemas.items()}}


def _query(schema: Json) -> list[Json]:
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": field.get("description", _PARAMETERS.get(name, "")),
            "schema": {key: value for key, value in field.items() if key not in ("title", "description")},
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _name(reference: Json) -> str:
    return str(reference["$ref"]).rsplit("/", 1)[1]


def _operation_id(route: Route) -> str:
    words = re.findall(r"[a-z0-9]+", route.path.removeprefix("/v1"))
    return "_".join([route.method.lower(), *words])
