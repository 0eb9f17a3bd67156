"""Why a render did not end well, from what the host's history or its pack filed."""

import re
from collections.abc import Mapping
from typing import Any

from server.errors import HostOutOfMemory, RenderError

__all__ = ["failure", "filed_failure"]

_MEMORY_TYPE = re.compile(r"\bOutOfMemoryError$")
_MEMORY_TEXT = re.compile(
    r"allocation on device|(?:cuda|hip|mps|xpu)\b.{0,40}out of memory|ran out of memory|out of memory on device|"
    r"not enough memory|can't allocate memory|cublas_status_alloc_failed",
    re.IGNORECASE,
)


def failure(host: object, messages: object) -> RenderError:
    """From `status.messages` of a history entry."""
    for message in messages if isinstance(messages, list) else ():
        match message:
            case ["execution_interrupted", *_]:
                return _interrupted(host)
            case ["execution_error", {"node_type": node, "exception_message": said, **more}]:
                return _failed(host, str(node), str(said), str(more.get("exception_type", "")))
    return _unsaid(host)


def filed_failure(host: object, error: Mapping[str, Any] | None) -> RenderError:
    """From `error` of what our pack filed."""
    error = error or {}
    match error.get("code"):
        case "interrupted" | "cancelled":
            return _interrupted(host)
        case "execution_error":
            node, kind = str(error.get("node_type", "a node")), str(error.get("exception_type", ""))
            return _failed(host, node, str(error.get("message", "")), kind)
        case _:
            return _unsaid(host)


def _failed(host: object, node: str, said: str, kind: str) -> RenderError:
    text = " ".join(said.split()) or kind
    error = HostOutOfMemory if _MEMORY_TYPE.search(kind) or _MEMORY_TEXT.search(text) else RenderError
    return error(f"{host} failed at {node}: {text}", node=node, exception=kind)


def _interrupted(host: object) -> RenderError:
    return RenderError(f"{host} interrupted the render. Ask for it again if that was not you.", interrupted=True)


def _unsaid(host: object) -> RenderError:
    return RenderError(f"{host} failed without saying why: look at its log.")
