"""What comes in: bodies of bounded size, JSON that fits its model, query strings, uploads.

An error names the field and what is wrong with it; it never repeats what was sent.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from typing import TypeVar

from aiohttp import hdrs, web
from aiohttp.http_exceptions import PayloadEncodingError
from pydantic import BaseModel, ValidationError

from server.api.keys import SETTINGS
from server.errors import InvalidRequest, TooLarge, UnsupportedMedia
from server.text import clean_text

__all__ = ["Upload", "message_text", "read_bytes", "read_json", "read_query", "read_upload"]

Model = TypeVar("Model", bound=BaseModel)

BODY_SECONDS = 60.0
_SHOWN_PROBLEMS = 10
_FORM_PARTS = 18  # what comes before the first boundary, 16 parts, the end
_FORM_HEAD_BYTES = 8_190
_SENTENCES = {
    "missing": "is missing",
    "extra_forbidden": "is not a field here",
    "string_type": "must be text",
    "string_unicode": "must be text in UTF-8",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it was sent. `content_type` is only what the client claims."""

    content: bytes
    content_type: str


async def read_json(request: web.Request, model: type[Model], *, limit: int | None = None) -> Model:
    """The body, as `model`. `limit` is in bytes; unset, it has room for one message however it is escaped.

    Raises:
        UnsupportedMedia: it is not declared as JSON.
        TooLarge: it is longer than `limit`.
        InvalidRequest: it is no UTF-8, no JSON, nested too deep, or does not fit the model.
    """
    if request.content_type != "application/json":
        raise UnsupportedMedia("Send the body as JSON, with 'Content-Type: application/json'.")
    if limit is None:
        limit = request.app[SETTINGS].message_bytes * 6 + 16_384
    raw = await read_bytes(request, limit=limit)
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not valid UTF-8 (byte {error.start}).", field="body") from None
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _invalid(error, "body") from None


def read_query(request: web.Request, model: type[Model]) -> Model:
    """The query string, as `model`; a name that comes twice is refused.

    Raises:
        InvalidRequest: it does not fit the model.
    """
    values: dict[str, str] = {}
    for name, value in request.query.items():
        if name in values:
            raise InvalidRequest("The query names a parameter twice.", field="query")
        values[name] = value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _invalid(error, "query") from None


async def read_bytes(request: web.Request, *, limit: int) -> bytes:
    """The body as it is, at most `limit` bytes of it; it is never held in memory beyond that.

    Raises:
        TooLarge: it is longer.
    """
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    if request.content.is_eof() and request.content.exception() is None:  # all of it came with the headers
        whole = request.content.read_nowait()
        if len(whole) > limit:
            raise _too_large(limit)
        return whole
    body = bytearray()
    async with _arrives_in_time():
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise _too_large(limit)
    return bytes(body)


async def read_upload(request: web.Request, *, limit: int, field: str = "file") -> Upload:
    """A file: the raw body, or the part `field` of a multipart form.

    Raises:
        TooLarge: the body is longer than `limit` bytes.
        InvalidRequest: there is no such part, or the form is broken.
    """
    body = await read_bytes(request, limit=limit)
    if request.content_type != "multipart/form-data":
        return Upload(body, request.content_type)
    return _form_file(body, request.headers.get(hdrs.CONTENT_TYPE, ""), field)


def message_text(request: web.Request, text: str) -> str:
    """What a person says, cleaned and within the server's limit for one message.

    Raises:
        InvalidRequest: it is empty or not text.
        TooLarge: it is longer than settings.message_bytes.
    """
    return clean_text(text, limit=request.app[SETTINGS].message_bytes)


def _form_file(body: bytes, content_type: str, field: str) -> Upload:
    """The part `field` of a multipart form that is in memory already.

    Split here, not read line by line: a form of nothing but line ends would keep the event loop busy.
    """
    outer = EmailMessage()
    outer["Content-Type"] = content_type
    boundary = outer.get_boundary()
    if not boundary or not boundary.isascii():
        raise InvalidRequest("The form has no boundary.", field="body")
    parts = (b"\r\n" + body).split(b"\r\n--" + boundary.encode(), _FORM_PARTS + 1)
    if len(parts) > _FORM_PARTS:
        raise InvalidRequest(f"The form has more than {_FORM_PARTS - 2} parts.", field="body")
    for part in parts[1:]:
        head, end, content = part.partition(b"\r\n\r\n")
        if not end or len(head) > _FORM_HEAD_BYTES:
            continue
        headers = BytesHeaderParser(policy=policy.HTTP).parsebytes(head.lstrip(b"\r\n"))
        if headers.get_param("name", header="Content-Disposition") == field:
            return Upload(content, headers.get_content_type())
    raise InvalidRequest(f"The form has no part named '{field}'.", field=field)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is too large: at most {limit:,} bytes are taken here.", limit=limit)


@asynccontextmanager
async def _arrives_in_time() -> AsyncIterator[None]:
    """Gives a body up that does not arrive within a minute, so that slow senders do not pile up."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            yield
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="The body did not arrive in time.") from None
    except (PayloadEncodingError, web.RequestPayloadError) as error:
        raise InvalidRequest("The body broke off or is not framed as its headers say.", field="body") from error


def _invalid(error: ValidationError, where: str) -> InvalidRequest:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    if problems[0]["type"] == "json_invalid":
        return InvalidRequest(f"The body is not valid JSON: {problems[0]['msg'].partition(': ')[2]}.", field="body")
    found = [{"field": _path(p["loc"], where), "problem": _sentence(p["type"], p["msg"])} for p in problems]
    first, more = found[0], len(found) - 1
    message = f"'{first['field']}' {first['problem']}" + (
        f"; {more} more problem{'s' if more > 1 else ''}." if more else "."
    )
    return InvalidRequest(message, field=first["field"], problems=found[:_SHOWN_PROBLEMS])


def _path(location: Sequence[int | str], where: str) -> str:
    # a part may be a key the client made up: shown short and without anything that is not printable
    parts = ["".join(c if c.isprintable() else "?" for c in str(part)[:64]) for part in location[:8]]
    return ".".join(parts) or where


def _sentence(kind: str, message: str) -> str:
    if kind in _SENTENCES:
        return _SENTENCES[kind]
    message = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = message.replace("Input should be", "must be").replace("String should have", "must have")
    message = message.replace("List should have", "must have")
    return message[:1].lower() + message[1:].rstrip(".")
