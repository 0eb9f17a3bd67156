"""From a request to its graph: the template of `workflows/api/`, filled with typed values."""

from collections.abc import Mapping
from functools import cache
from typing import Final

from server.errors import InvalidRequest
from server.render.graphs.allowed import ALLOWED, refuse_unknown
from server.render.graphs.nodes import File, Graph, Input, Link, Node, Text
from server.render.graphs.request import PictureRequest, TemplateName
from server.render.outfit import TUNING
from server.render.templates import Template, TemplateError, read_template

__all__ = ["build"]

_PREFIX: Final = "vestige/preview"
_TEXTS: Final = frozenset({"prompt", "negative"})
_FREEU: Final = frozenset(name for name in TUNING if name.startswith("freeu_"))
_LORA: Final = frozenset({"lora_model", "lora_clip"})
_OURS_ALONE: Final = frozenset({"behaviour", "layer_weights"})
"""Values that the well-known pack's node has no input for."""
_EMBEDDING: Final = "embedding:"
_Filling = str | int | float | File | Text


def build(request: PictureRequest) -> Graph:
    """The graph of a complete request. Values that change nothing, such as FreeU's factors where it is off, are the
    defaults, so that they do not change the graph either.

    Raises:
        InvalidRequest: the request is not complete, or its template cannot do what it asks for.
        GraphRejected: the template holds a node that is not on the server's list.
    """
    if request.template is None:
        raise InvalidRequest("Which template? The request has to be completed first.", field="template")
    template = _read(request.template)
    values, left_out = _values(request, template)
    filled = template.fill({name: value for name, value in values.items() if name in template.slots}, left_out)
    graph = Graph(
        {
            node_id: Node(
                str(node["class_type"]),
                {name: _typed(value) for name, value in node["inputs"].items()},
                str(node.get("_meta", {}).get("title", "")),
            )
            for node_id, node in filled.items()
        }
    )
    refuse_unknown(graph)
    return graph


@cache
def _read(name: TemplateName) -> Template:
    """The template, with its slots for words and files where such things belong.

    Raises:
        TemplateError: they are not.
    """
    template = read_template(name)
    for node_id, node in template.nodes.items():
        known = ALLOWED.get(node["class_type"])
        for key in node["inputs"]:
            slot = template.slot(node_id, key)
            if (slot in _TEXTS) != (known is not None and key in known.texts):
                raise TemplateError(f"{name}: {key} of {node_id} is no place for {slot or 'a fixed value'}.")
    return template


def _values(request: PictureRequest, template: Template) -> tuple[dict[str, _Filling], list[str]]:
    """By slot, and the ids of the nodes that are left out."""
    tuning = _tuning(request, template)
    values: dict[str, _Filling] = {
        **tuning,
        "checkpoint": File("checkpoints", request.checkpoint),
        "prompt": _words(request.prompt),
        "negative": _words(request.negative),
        "seed": request.seed,
        "steps": request.steps,
        "cfg": float(request.cfg),
        "sampler": request.sampler,
        "scheduler": request.scheduler,
        "width": request.width,
        "height": request.height,
        "filename_prefix": _PREFIX,
        "character": "none",
        "version": "live",
    }
    left_out = [] if tuning["freeu"] else ["freeu"]
    if request.lora is None:
        left_out += ["lora", "character"]
    else:
        character = File("characters", str(request.lora), request.lora.sha256)
        values |= {"character": character, "version": str(request.lora.version)}
        values["lora"] = File("loras", str(request.lora), request.lora.sha256)
    if "reference" in template.slots:
        values["reference"] = File("references", _needed(request, "reference"), request.reference)
        values["adapter"] = File("ipadapter", _needed(request, "adapter"))
        values["encoder"] = File("clip_vision", _needed(request, "encoder"))
    return values, [node for node in left_out if node in template.optional]


def _tuning(request: PictureRequest, template: Template) -> Mapping[str, str | int | float]:
    given = {name: float(value) if isinstance(TUNING[name], float) else value for name, value in request.tuning.items()}
    unused = set() if given.get("freeu", TUNING["freeu"]) else _FREEU
    if request.lora is None:
        unused |= _LORA
    if "reference" in template.slots:
        for name in sorted(_OURS_ALONE - template.slots):
            if given.get(name, TUNING[name]) != TUNING[name]:
                raise InvalidRequest(f"{name} is {given[name]!r}: only hosts with Vestige's node pack know that.")
    return {**TUNING, **{name: value for name, value in given.items() if name not in unused}}


def _needed(request: PictureRequest, name: str) -> str:
    value = getattr(request, name)
    if value is None:
        raise InvalidRequest(f"Which {name}? The request has to be completed first.", field=name)
    return str(value)


def _words(text: str) -> Text:
    """A person's words. `embedding:NAME` would load a file of the host's, another one at each host: it is only a word
    here."""
    return Text(text.replace(_EMBEDDING, "embedding "))


def _typed(value: object) -> Input:
    match value:
        case [str(node), int(output)]:
            return Link(node, output)
        case str() | int() | float() | File() | Text():
            return value
        case _:
            raise TemplateError(f"A graph cannot hold {value!r}.")
