"""The API's documentation as one page: no script, no other file, its style allowed by hash."""

import base64
import hashlib
import json
from html import escape
from typing import Any

__all__ = ["STYLE_HASH", "render_docs"]

Json = dict[str, Any]

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); --dim: color-mix(in srgb,
  currentColor 65%, transparent); --soft: color-mix(in srgb, currentColor 6%, transparent); }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 58rem; margin: 0 auto; padding: 2rem 1.25rem 6rem; }
h1 { font-size: 1.75rem; margin: 0 0 .5rem; } h2 { margin: 2.5rem 0 .5rem; font-size: 1.25rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: 1rem 0; }
code, pre { font: .875em/1.5 ui-monospace, monospace; } pre { overflow-x: auto; padding: .75rem 1rem; margin: .5rem 0;
  background: var(--soft); border-radius: .4rem; }
details { border-top: 1px solid var(--line); } details > div { padding: 0 0 1rem 1.1rem;
  scroll-margin-top: 3.5rem; }
summary { padding: .55rem 0; cursor: pointer; } summary:focus-visible { outline: 2px solid; outline-offset: 2px; }
summary b { display: inline-block; min-width: 4.2rem; font: 600 .8rem ui-monospace, monospace; }
summary span { color: var(--dim); margin-left: .6rem; } .access { font-size: .85rem; color: var(--dim); margin: 0; }
h3 { font-size: .95rem; margin: 1rem 0 .25rem; } p { margin: .4rem 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-top: 1px solid var(--line); }
"""
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_ACCESS = {
    "open": "Open to everyone.",
    "ops": "Needs a credential unless only loopback reaches the server.",
    "any": "Needs a credential.",
}


def render_docs(document: Json) -> str:
    """`document`, an OpenAPI document, as HTML."""
    info, schemas = document["info"], document["components"]["schemas"]
    operations: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            operations[operation["tags"][0]].append(_operation(path, method, operation))
    sections = "".join(
        f'<section><h2 id="{_anchor(tag)}">{escape(tag)}</h2>{"".join(rows)}</section>'
        for tag, rows in operations.items()
    )
    links = "".join(f'<a href="#{_anchor(tag)}">{escape(tag)}</a>' for tag in operations)
    shapes = "".join(_schema(name, schema) for name, schema in sorted(schemas.items()))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{escape(info['title'])} API <small>{escape(info['version'])}</small></h1>"
        f'<p>{escape(info["description"])}</p><p>For programs: <a href="/openapi.json">openapi.json</a></p>'
        f'<nav aria-label="Parts">{links}<a href="#schemas">Schemas</a></nav>{sections}'
        f'<section><h2 id="schemas">Schemas</h2>{shapes}</section></main></body></html>'
    )


def _operation(path: str, method: str, operation: Json) -> str:
    access = operation["x-access"]
    parts = [f'<p class="access">{escape(_ACCESS.get(access, f"Needs the scope {access}."))}</p>']
    if "description" in operation:
        parts.append(f"<p>{escape(operation['description'])}</p>")
    if operation["parameters"]:
        parts.append(f"<h3>Parameters</h3>{_parameters(operation['parameters'])}")
    if "requestBody" in operation:
        parts.append(f"<h3>Body</h3>{_contents(operation['requestBody']['content'])}")
    for status, answer in operation["responses"].items():
        if status != "default":
            parts.append(f"<h3>Answer {escape(status)}</h3>{_contents(answer.get('content', {}))}")
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><b>{escape(method.upper())}</b> '
        f"<code>{escape(path)}</code><span>{escape(operation['summary'])}</span></summary>"
        f"<div>{''.join(parts)}</div></details>"
    )


def _parameters(parameters: list[Json]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}"
        f"{', required' if one['required'] else ''}</td><td>{_type(one['schema'])}</td>"
        f"<td>{escape(one['description'])}</td></tr>"
        for one in parameters
    )
    return f"<table><tr><th>Name<th>In<th>Type<th>Meaning</tr>{rows}</table>"


def _contents(contents: Json) -> str:
    if not contents:
        return "<p>Empty.</p>"
    return "".join(f"<p><code>{escape(kind)}</code>: {_type(body['schema'])}</p>" for kind, body in contents.items())


def _schema(name: str, schema: Json) -> str:
    about = f"<p>{escape(schema['description'])}</p>" if "description" in schema else ""
    required = schema.get("required", ())
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{_type(shape)}{'' if field in required else ', optional'}</td>"
        f"<td>{escape(shape.get('description', ''))}</td></tr>"
        for field, shape in schema.get("properties", {}).items()
    )
    table = f"<table><tr><th>Field<th>Type<th>Meaning</tr>{rows}</table>" if rows else f"<p>{_type(schema)}</p>"
    return (
        f"<details><summary><code>{escape(name)}</code></summary>"
        # the id is inside, because browsers open what a link leads into, not what it leads to
        f'<div id="schema-{escape(name)}">{about}{table}</div></details>'
    )


def _type(schema: Json) -> str:
    """A schema as words, with links to the schemas it names."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[1])
        title = f"{escape(schema['title'])}: " if "title" in schema else ""
        return f'{title}<a href="#schema-{name}">{name}</a>'
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " or ".join(_type(one) for one in schema[word])
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        return " | ".join(f"<code>{escape(json.dumps(value, ensure_ascii=False))}</code>" for value in values)
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) else "object"
    return escape(f"{kind} ({schema['format']})" if "format" in schema else str(kind or "anything"))


def _anchor(tag: str) -> str:
    return escape("tag-" + tag.lower().replace(" ", "-"))
