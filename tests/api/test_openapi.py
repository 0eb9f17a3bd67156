"""The document says what the router does, because both come from the same routes."""

import json
import re
from html.parser import HTMLParser

import jsonschema
import pytest

from server.api.docs import STYLE_HASH
from server.api.openapi import build_document
from server.api.routes import ROUTES
from tests.api.conftest import KNOCK, Door


@pytest.fixture
async def document(door: Door) -> dict:
    status, body = await door.ask("GET", "/openapi.json")
    assert status == 200
    return body


async def test_every_route_of_the_router_is_in_the_document(door: Door, document: dict) -> None:
    app = door.client.app
    assert app is not None
    routed = {
        (route.method.lower(), route.resource.canonical) for route in app.router.routes() if route.resource is not None
    }
    written = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert written == routed
    assert len(written) == len(app[ROUTES])


def test_every_reference_leads_somewhere_and_every_schema_is_one() -> None:
    document = json.loads(json.dumps(build_document(KNOCK)))
    for reference in re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)):
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_names_of_operations_are_their_own(document: dict) -> None:
    names = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(names) == len(set(names))


def test_what_an_operation_takes_gives_and_needs(document: dict) -> None:
    say = document["paths"]["/v1/say/{character_id}"]["post"]
    assert [(one["name"], one["in"], one["required"]) for one in say["parameters"]] == [("character_id", "path", True)]
    assert say["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Said"}
    assert (say["x-access"], say["security"]) == ("chat", [{"bearer": []}, {"cookie": []}])
    assert document["components"]["schemas"]["Said"]["required"] == ["message"]
    search = document["paths"]["/v1/search"]["get"]
    assert {(one["name"], one["required"]) for one in search["parameters"]} == {
        ("q", True),
        ("tokens", False),
        ("user_id", False),
    }
    assert search["parameters"][0]["description"] == "What to look for."
    assert "Search" not in document["components"]["schemas"]
    assert document["paths"]["/health"]["get"]["security"] == []
    assert "204" in document["paths"]["/v1/admin/keys/{key_id}"]["delete"]["responses"]
    assert set(document["paths"]["/v1/upload"]["post"]["requestBody"]["content"]) == {
        "image/png",
        "multipart/form-data",
    }


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.add(name)
            if name == "href" and value:
                self.links.append(value)
            if name == "id" and value:
                self.ids.add(value)


async def test_the_page_needs_nothing_but_itself(door: Door, document: dict) -> None:
    async with door.client.get("/docs") as answer:
        html, policy = await answer.text(), answer.headers["Content-Security-Policy"]
    page = _Page()
    page.feed(html)
    assert f"style-src '{STYLE_HASH}'" in policy and "script-src" not in policy
    assert page.tags.isdisjoint({"script", "link", "img", "iframe"})
    assert "style" not in page.attributes
    assert [link for link in page.links if not link.startswith("#")] == ["/openapi.json"]
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    for path in document["paths"]:
        assert f"<code>{path}</code>" in html
