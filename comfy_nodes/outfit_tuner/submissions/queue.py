"""ComfyUI's own queue, as far as submissions use it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from aiohttp import web

from ...host import PromptServer, prompt_server
from .errors import GraphRefused
from .records import Submission

__all__ = ["ComfyQueue", "Queue", "Standing"]


@dataclass(frozen=True)
class Standing:
    """Prompt ids of what runs and of what waits."""

    running: frozenset[str]
    waiting: frozenset[str]


class Queue(Protocol):
    async def check(self, submission: Submission) -> None:
        """Raises `GraphRefused` unless all of the graph can run."""
        ...

    async def put(self, submission: Submission, request: web.Request) -> None:
        """Queues a graph. Raises `GraphRefused`."""
        ...

    def standing(self) -> Standing: ...

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """What became of a prompt: `outputs` and `status`; None while it has not finished, or nobody knows it."""
        ...


class ComfyQueue:
    """The ComfyUI that the pack runs in.

    A graph is queued by ComfyUI's own handler of `POST /prompt`: what it puts into the queue differs between versions,
    and other packs may have a say in it.
    """

    async def check(self, submission: Submission) -> None:
        import execution

        graph, prompt_id = submission.graph, submission.prompt_id
        try:
            valid, error, _, node_errors = await execution.validate_prompt(prompt_id, graph, None)
        except Exception as failure:  # of a graph that is no graph at all; ComfyUI expects one of its editor's
            raise GraphRefused(f"ComfyUI cannot read the graph: {type(failure).__name__}.") from None
        if not valid or node_errors:  # it would run the good outputs of a graph and say nothing of the others
            raise _refusal(error, node_errors)

    async def put(self, submission: Submission, request: web.Request) -> None:
        body = {**submission.options, "prompt": submission.graph, "prompt_id": submission.prompt_id}
        response = await _prompt_handler(prompt_server())(_Carrying(request, body))
        if response.status != 200:
            answer = json.loads(response.body or b"{}")
            raise _refusal(answer.get("error"), answer.get("node_errors") or {})

    def standing(self) -> Standing:
        running, waiting = prompt_server().prompt_queue.get_current_queue_volatile()
        return Standing(frozenset(item[1] for item in running), frozenset(item[1] for item in waiting))

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        return prompt_server().prompt_queue.get_history(prompt_id=prompt_id).get(prompt_id)

    def forget(self, prompt_id: str) -> None:
        """Takes a prompt out of the history."""
        prompt_server().prompt_queue.delete_history_item(prompt_id)

    def free(self) -> None:
        """Has ComfyUI drop everything that nodes gave out, once what runs has ended. Models are loaded anew after."""
        prompt_server().prompt_queue.set_flag("unload_models", True)
        prompt_server().prompt_queue.set_flag("free_memory", True)


class _Carrying:
    """A request with another body."""

    def __init__(self, request: web.Request, body: dict[str, Any]) -> None:
        self._request = request
        self._body = body

    async def json(self) -> dict[str, Any]:
        return self._body

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)


def _prompt_handler(server: PromptServer) -> Any:
    for route in server.routes:
        if isinstance(route, web.RouteDef) and (route.method, route.path) == ("POST", "/prompt"):
            return route.handler
    raise GraphRefused("This version of ComfyUI has no POST /prompt.")


def _refusal(error: Any, node_errors: dict[str, Any]) -> GraphRefused:
    found = {
        node: {
            "class_type": problems.get("class_type"),
            "errors": [
                {"message": problem.get("message"), "details": problem.get("details")}
                for problem in problems.get("errors", [])
            ],
        }
        for node, problems in node_errors.items()
    }
    first = next((problem for problems in found.values() for problem in problems["errors"]), error or {})
    said = ": ".join(str(part).strip() for part in (first.get("message"), first.get("details")) if part)
    return GraphRefused(f"ComfyUI would not run the graph: {said or 'it gives no reason'}", node_errors=found)
