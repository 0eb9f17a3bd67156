"""Every error the server raises on purpose, with its HTTP status and its code.

    VestigeError                      500 internal
    ├─ InvalidRequest                 400 invalid_request      what the client sent cannot be used
    │  ├─ InvalidId                   400 invalid_id
    │  ├─ InvalidCard                 422 invalid_card         a character card that cannot be read
    │  ├─ InvalidLora                 422 invalid_lora         no safetensors file, no LoRA, or its header lies
    │  ├─ NotVisual                   422 not_visual           an item that cannot be seen on anybody
    │  ├─ InvalidReference            422 invalid_reference    an address that gives no picture; details.reason
    │  ├─ TooLarge                    413 too_large
    │  └─ UnsupportedMedia            415 unsupported_media    a content type or encoding that is not taken here
    ├─ Unauthenticated                401 unauthenticated      no credential, or one that is wrong, used up or expired
    ├─ Forbidden                      403 forbidden            a good credential that may not do this
    │  └─ Declined                    403 declined             the content policy; details.kind, level, plan
    ├─ NotFound                       404 not_found
    ├─ Conflict                       409 conflict             the thing changed meanwhile, or exists
    │  └─ IdempotencyMismatch         422 idempotency_mismatch the same key with another request
    ├─ RateLimited                    429 rate_limited         details.retry_after in seconds
    │  └─ TooManyWaiting              429 too_many_waiting     so many pictures of one person wait already
    ├─ BudgetExceeded                 402 budget_exceeded      a spending ceiling of the day; details.scope, retry_after
    ├─ Unavailable                    503 unavailable          something the request needs does not answer
    │  ├─ StoreUnavailable            503 store_unavailable    Redis, Chroma, the objects or the disk
    │  ├─ GenerationDisabled          503 generation_disabled  the ledger does not answer, so nothing may be spent
    │  ├─ PolicyUnavailable           503 policy_unavailable   the content level cannot be read, so nothing is generated
    │  └─ ShuttingDown                503 shutting_down
    ├─ ModelError                     502 model_error          the language model did not give a usable reply
    │  ├─ ModelUnavailable            503 model_unavailable    not reachable, overloaded, no such model
    │  ├─ ModelTimeout                504 model_timeout
    │  ├─ ModelRefused                502 model_refused        content filter, refusal, or nothing in it
    │  ├─ ModelMisconfigured          502 model_misconfigured  bad key, no credit, or a request of ours it rejects
    │  │  └─ ModelUnknown             502 model_misconfigured  no such model there, or not any more
    │  └─ ModelExhausted              502 model_exhausted      every model of the chain was asked; details.attempts
    ├─ RenderError                    502 render_error         a ComfyUI host did not give a picture
    │  ├─ HostUnavailable             503 host_unavailable     not reachable, or it lost the render
    │  ├─ HostOutOfMemory             503 host_out_of_memory   a model did not fit into the host's memory
    │  └─ GraphRejected               502 graph_rejected       a node, a model file or an input it does not have
    └─ StartupError                   the process ends with this one line: settings, data folder, ports, stores
       ├─ SettingsError
       └─ DataFolderError

A person reads `message`: one sentence that says what is wrong and what to do. A program reads
`{"error": {"code", "message", "details"}}`.
"""

from collections.abc import Mapping
from typing import ClassVar

__all__ = [
    "BudgetExceeded",
    "Conflict",
    "DataFolderError",
    "Declined",
    "Forbidden",
    "GenerationDisabled",
    "GraphRejected",
    "HostOutOfMemory",
    "HostUnavailable",
    "IdempotencyMismatch",
    "InvalidCard",
    "InvalidId",
    "InvalidLora",
    "InvalidReference",
    "InvalidRequest",
    "ModelError",
    "ModelExhausted",
    "ModelMisconfigured",
    "ModelRefused",
    "ModelTimeout",
    "ModelUnavailable",
    "ModelUnknown",
    "NotFound",
    "NotVisual",
    "PolicyUnavailable",
    "RateLimited",
    "RenderError",
    "SettingsError",
    "ShuttingDown",
    "StartupError",
    "StoreUnavailable",
    "TooLarge",
    "TooManyWaiting",
    "Unauthenticated",
    "Unavailable",
    "UnsupportedMedia",
    "VestigeError",
]


class VestigeError(Exception):
    """Base of every error raised on purpose.

    `details` goes to programs beside the message: JSON-serialisable, never a secret, never a person's text.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, message: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.details: Mapping[str, object] = details

    def payload(self) -> dict[str, dict[str, object]]:
        """The body every error has on the wire."""
        return {"error": {"code": self.code, "message": self.message, "details": dict(self.details)}}


class InvalidRequest(VestigeError):
    status, code = 400, "invalid_request"


class InvalidId(InvalidRequest):
    code = "invalid_id"


class InvalidCard(InvalidRequest):
    status, code = 422, "invalid_card"


class NotVisual(InvalidRequest):
    status, code = 422, "not_visual"


class InvalidLora(InvalidRequest):
    status, code = 422, "invalid_lora"


class InvalidReference(InvalidRequest):
    status, code = 422, "invalid_reference"


class TooLarge(InvalidRequest):
    status, code = 413, "too_large"


class UnsupportedMedia(InvalidRequest):
    status, code = 415, "unsupported_media"


class Unauthenticated(VestigeError):
    status, code = 401, "unauthenticated"


class Forbidden(VestigeError):
    status, code = 403, "forbidden"


class Declined(Forbidden):
    """`message` is what the policy says: `details.kind` `declined`, in the character's voice, or `safety`, to a person
    who may be in danger. `level` is what was asked for and `plan` the one that would have it, both None where unknown.
    """

    code = "declined"


class NotFound(VestigeError):
    status, code = 404, "not_found"


class Conflict(VestigeError):
    status, code = 409, "conflict"


class IdempotencyMismatch(Conflict):
    status, code = 422, "idempotency_mismatch"


class RateLimited(VestigeError):
    status, code = 429, "rate_limited"


class TooManyWaiting(RateLimited):
    code = "too_many_waiting"


class BudgetExceeded(VestigeError):
    status, code = 402, "budget_exceeded"


class Unavailable(VestigeError):
    status, code = 503, "unavailable"


class StoreUnavailable(Unavailable):
    code = "store_unavailable"


class GenerationDisabled(Unavailable):
    code = "generation_disabled"


class PolicyUnavailable(Unavailable):
    code = "policy_unavailable"


class ShuttingDown(Unavailable):
    code = "shutting_down"


class ModelError(VestigeError):
    status, code = 502, "model_error"


class ModelUnavailable(ModelError):
    status, code = 503, "model_unavailable"


class ModelTimeout(ModelError):
    status, code = 504, "model_timeout"


class ModelRefused(ModelError):
    code = "model_refused"


class ModelMisconfigured(ModelError):
    code = "model_misconfigured"


class ModelUnknown(ModelMisconfigured):
    pass


class ModelExhausted(ModelError):
    code = "model_exhausted"


class RenderError(VestigeError):
    status, code = 502, "render_error"


class HostUnavailable(RenderError):
    status, code = 503, "host_unavailable"


class HostOutOfMemory(RenderError):
    status, code = 503, "host_out_of_memory"


class GraphRejected(RenderError):
    code = "graph_rejected"


class StartupError(VestigeError):
    """Stops the start with one clear line."""

    code = "startup"


class SettingsError(StartupError):
    code = "settings"


class DataFolderError(StartupError):
    code = "data_folder"
