"""The routes of our node pack, as the fake ComfyUI has them: `docs/pack-routes.md`."""

from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Handler

if TYPE_CHECKING:
    from tests.fakes.comfyui import FakeComfy

__all__ = ["add_pack"]


def add_pack(app: web.Application, fake: "FakeComfy") -> None:
    """Adds them, each behind the token."""
    pack = FakePack(fake)
    routes = [
        ("GET", "/vestige", pack.listing),
        ("GET", "/vestige/presets", pack.presets),
        ("GET", "/vestige/presets/{name}/{version}", pack.preset),
        ("GET", "/vestige/models", pack.models),
        ("POST", "/vestige/submit", pack.submit),
        ("GET", "/vestige/results/{key}", pack.result),
        ("DELETE", "/vestige/results/{key}", pack.drop),
        ("POST", "/vestige/forget", pack.forget),
    ]
    for method, path, handler in routes:
        app.router.add_route(method, path, pack.guarded(handler))


def refusal(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message, "details": {}}}, status=status)


class FakePack:
    def __init__(self, fake: "FakeComfy") -> None:
        self.fake = fake

    def guarded(self, handler: Handler) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            given = request.headers.get("Authorization")
            if self.fake.token is None:
                return refusal(503, "no_token_set", "Start ComfyUI with a token.")
            if given is None:
                return refusal(401, "unauthenticated", "Send the pack's token.")
            if given != f"Bearer {self.fake.token}":
                return refusal(401, "wrong_token", "The pack's token is another one.")
            return await handler(request)

        return answer

    async def listing(self, request: web.Request) -> web.Response:
        routes = ["/vestige/models", "/vestige/submit", *([] if self.fake.older else ["/vestige/forget"])]
        return web.json_response({"pack": "vestige", "process": self.fake.mark, "routes": routes})

    async def presets(self, request: web.Request) -> web.Response:
        listed = [{"origin": spec.replace("/", "@"), **preset} for spec, preset in self.fake.presets.items()]
        return web.json_response({"presets": listed, "damaged": []})

    async def preset(self, request: web.Request) -> web.Response:
        found = self.fake.presets.get("/".join(request.match_info.values()))
        if found is None:
            return refusal(404, "preset_not_found", "There is no such preset.")
        return web.json_response(found)

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"hashing": 0, "models": self.fake.models})

    async def submit(self, request: web.Request) -> web.Response:
        body = await request.json()
        known = self.fake.filed.get(body["key"])
        if known is not None and known["state"] != "error":
            return web.json_response(known)
        if body["prompt_id"] in self.fake.started and (known is None or known["error"]["code"] != "lost"):
            return refusal(409, "prompt_id_reused", "This prompt id has had its run.")
        record = {"key": body["key"], "prompt_id": body["prompt_id"], "state": "queued", "outputs": None}
        record |= {"queued_at": "2026-11-27T18:00:00.000+00:00", "finished_at": None, "error": None}
        self.fake.filed[body["key"]] = record
        front = bool(body.get("front"))
        self.fake.queued(body["prompt_id"], body["prompt"], body.get("client_id", ""), front=front)
        self.fake.lose_answer(request)
        return web.json_response(record, status=202)

    async def result(self, request: web.Request) -> web.Response:
        known = self.fake.filed.get(request.match_info["key"])
        return refusal(404, "no_such_result", "There is none.") if known is None else web.json_response(known)

    async def drop(self, request: web.Request) -> web.Response:
        self.fake.filed.pop(request.match_info["key"], None)
        return web.Response(status=204)

    async def forget(self, request: web.Request) -> web.Response:
        if self.fake.older:
            raise web.HTTPNotFound
        body, kept = await request.json(), list[dict[str, str]]()
        for one in body["renders"]:
            if one["prompt_id"] in (self.fake.running, *self.fake.waiting):
                kept.append({"name": one["prompt_id"], "code": "still_running", "message": "The graph still runs."})
                continue
            self._forget(one["prompt_id"], one["key"])
        for sha256 in body["references"]:
            self.fake.uploads.pop(f"vestige/{sha256}.png", None)
        if body["memory"]:
            self.fake.freed.append({"unload_models": True, "free_memory": True})
        return web.json_response({"kept": kept})

    def _forget(self, prompt_id: str, key: str) -> None:
        self.fake.history.pop(prompt_id, None)
        filed = self.fake.filed.get(key)
        if filed is None or filed["prompt_id"] == prompt_id:
            self.fake.filed.pop(key, None)
            saved = self.fake.saved.items()
            self.fake.saved = {place: made for place, made in saved if not place[2].startswith(f"{key}_")}
