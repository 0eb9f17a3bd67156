"""The whole server's routes, as they are declared: who may use them, and that the document tells all of them."""

import json
import re

import jsonschema
import pytest
from aiohttp import web

from server.api.docs import render_docs
from server.api.openapi import build_document
from server.api.routes import ROUTES
from server.app import build_app
from server.settings import Settings

OPEN = {("GET", "/health"), ("POST", "/v1/session"), ("DELETE", "/v1/session")}
PAGE = {("GET", "/"), ("GET", "/static/{version}/{name}")}


@pytest.fixture
def app(settings: Settings) -> web.Application:
    """Built, not started: nothing is opened."""
    return build_app(settings, owner_token="not used")


def test_only_signing_in_and_the_page_are_open(app: web.Application) -> None:
    assert {(route.method, route.path) for route in app[ROUTES] if route.access == "open"} == OPEN
    assert {route.path for route in app[ROUTES] if route.access == "ops"} == {
        "/ready",
        "/metrics",
        "/docs",
        "/openapi.json",
    }
    for route in app[ROUTES]:
        if route.path.startswith("/v1/admin"):
            assert route.access == "admin"


def test_nothing_is_served_that_was_not_declared(app: web.Application) -> None:
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    declared = {(route.method, re.sub(r":[^{}]*}", "}", route.path)) for route in app[ROUTES]}
    assert served == declared | PAGE


def test_the_document_is_sound(app: web.Application) -> None:
    document = json.loads(json.dumps(build_document(app[ROUTES])))
    for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    names = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(names) == len(set(names)) == len(app[ROUTES])
    links = re.findall(r'href="#([^"]+)"', render_docs(document))
    assert set(links) <= set(re.findall(r'id="([^"]+)"', render_docs(document)))


def test_what_an_unsafe_operation_takes_is_declared(app: web.Application) -> None:
    for route in app[ROUTES]:
        if route.method in ("PUT", "PATCH"):
            assert route.request is not None or route.consumes != ("application/json",), route.path
