"""The ComfyUI that the pack runs in: its web server and its queue.

ComfyUI's module is called `server`, as our chat server's package is. So it is looked up by name when it is needed, in
this one place, and what the pack uses of it is written down as protocols.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["PromptQueue", "PromptServer", "UserManager", "prompt_server"]


class PromptQueue(Protocol):
    """What is to be run, runs and has run. Safe to use from any thread."""

    def put(self, item: tuple[Any, ...], /) -> None:
        """`(number, prompt_id, prompt, extra_data, outputs)`, and in newer versions the sensitive extra data."""
        ...

    def get_current_queue(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """What runs, and what waits."""
        ...

    def get_current_queue_volatile(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """The same without a copy of every graph: to be read only."""
        ...

    def get_history(self, prompt_id: str | None = None) -> dict[str, dict[str, Any]]: ...

    def delete_queue_item(self, function: Callable[[tuple[Any, ...]], bool], /) -> bool: ...

    def delete_history_item(self, id_to_delete: str) -> None: ...

    def set_flag(self, name: str, data: bool) -> None:
        """`free_memory`, `unload_models`: done once what runs has ended."""
        ...


class UserManager(Protocol):
    """Who asks, where ComfyUI runs for several people."""

    def get_request_user_id(self, request: web.Request, /) -> str: ...

    def get_request_user_filepath(
        self, request: web.Request, file: str, type: str = "userdata", create_dir: bool = True
    ) -> str | None: ...


class PromptServer(Protocol):
    """ComfyUI's web server. Routes added while the pack is imported are served below `/` and below `/api`."""

    routes: web.RouteTableDef
    app: web.Application
    prompt_queue: PromptQueue
    user_manager: UserManager
    number: float
    client_id: str | None
    port: int

    def trigger_on_prompt(self, json_data: dict[str, Any], /) -> dict[str, Any]: ...

    def send_sync(self, event: str, data: Any, sid: str | None = None) -> None: ...


def prompt_server() -> PromptServer:
    """The running server. Raises `RuntimeError` outside ComfyUI."""
    server = getattr(importlib.import_module("server"), "PromptServer", None)
    if server is None or getattr(server, "instance", None) is None:
        raise RuntimeError("ComfyUI's server does not run in this process.")
    return server.instance
