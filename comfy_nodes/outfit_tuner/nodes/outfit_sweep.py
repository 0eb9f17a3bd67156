"""Outfit Sweep: a picture for every pair of two values, on one labelled sheet."""

from __future__ import annotations

import dataclasses
from typing import Any

import comfy.samplers
from comfy_api.latest import io
from comfy_execution.graph_utils import GraphBuilder

from ..sockets import FEATURES, OUTFIT_MODELS, TUNING, OutfitModels
from ..sweep import MOST_CELLS, Cell, Grid, make_grid, parse_axis, table
from ..sweep.axes import AXES
from ..sweep.plan import Plan
from ..tuning import Tuning, TuningError, TuningValues
from .characters import character_inputs, character_state, check_character
from .graph import links, missing
from .pinned import check_before_loading, check_loaded
from .steps import add_freeu, add_lora, add_outfit, step_id
from .sweep_sheet import picture_input

__all__ = ["OutfitSweep"]

_ONE_AXIS = "none"
_SAMPLER = ("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise")
_RANGE = (
    "A range first:last:step (step 0.05 where it is left out) or a list: 0.3, 0.4, 0.6. "
    "For choices their names, or all."
)


class OutfitSweep(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="Vestige_OutfitSweep",
            display_name="Outfit Sweep",
            category="Vestige/Outfit",
            description="Renders the same picture with every pair of two values, weight × end_at to begin with, and "
            "puts all on one labelled sheet. Pictures that were rendered before are not rendered again.",
            inputs=[*_wired(), *character_inputs(), *_texts(), *_axes(), *_sampling()],
            outputs=[
                io.Image.Output(
                    "images", is_output_list=True, tooltip="The pictures, row by row, in the order of the table."
                ),
                io.Image.Output("sheet", tooltip="All pictures on one sheet, under their values."),
                io.String.Output("table", tooltip="The cells as JSON: which picture has which values."),
            ],
            hidden=[io.Hidden.dynprompt, io.Hidden.unique_id],
            is_output_node=True,
            enable_expand=True,
        )

    @classmethod
    def validate_inputs(cls, character: str | None = None, version: str | None = None) -> bool | str:
        return check_character(character, version)

    @classmethod
    def fingerprint_inputs(cls, character: str | None = None, version: str | None = None, **_: Any) -> str:
        return character_state(character, version)

    @classmethod
    def check_lazy_status(cls, tuning: Tuning | None = None, **given: Any) -> list[str]:
        """A sweep that cannot be rendered, or not with these files, is refused before any of them is loaded."""
        if tuning is None:
            return []
        if given.get("models") is None:
            _grid(tuning, given)
            check_before_loading(cls.hidden, tuning)
        return missing(given, "models")

    @classmethod
    def execute(cls, tuning: Tuning, models: OutfitModels, **given: Any) -> io.NodeOutput:
        grid = _grid(tuning, given)
        check_loaded(cls.hidden, tuning, models)
        wired, graph = links(cls.hidden), GraphBuilder()
        _refuse_fixed_text(grid, wired)
        pictures = [_add_picture(graph, wired, given, cell) for cell in grid.cells]
        sheet = graph.node(
            "Vestige_SweepSheet",
            "sheet",
            plan=Plan(grid, _title(tuning, grid, given)).to_json(),
            **{picture_input(index): picture for index, picture in enumerate(pictures)},
        )
        return io.NodeOutput(sheet.out(0), sheet.out(1), table(grid, tuning.origin), expand=graph.finalize())


def _add_picture(graph: GraphBuilder, wired: Any, given: Any, cell: Cell) -> Any:
    """The nodes of one picture, from the LoRA to the VAE; the link to it."""
    values = cell.values
    model, clip = add_lora(
        graph, wired["model"], wired["clip"], given["character"], given["version"], given["other_lineage"], values
    )
    model = add_freeu(graph, model, values)
    model = add_outfit(
        graph,
        cell.key,
        model=model,
        models=wired["models"],
        features=wired["features"],
        tuning=_add_values(graph, cell),
        mask=wired.get("mask"),
    )
    sides = {
        side: wired.get(f"{side}_conditioning") or _add_text(graph, side, clip, wired[side], values)
        for side in ("positive", "negative")
    }
    sampled = graph.node(
        "KSampler",
        step_id("sampled", cell.key),
        model=model,
        latent_image=wired["latent_image"],
        **sides,
        **{name: wired[name] for name in _SAMPLER},
    )
    return graph.node("VAEDecode", step_id("picture", cell.key), samples=sampled.out(0), vae=wired["vae"]).out(0)


def _add_values(graph: GraphBuilder, cell: Cell) -> Any:
    values = dataclasses.asdict(cell.values)
    freeu = values.pop("freeu")
    factors = {f"freeu_{name}": factor for name, factor in (freeu or {"b1": 1, "b2": 1, "s1": 1, "s2": 1}).items()}
    node = graph.node("Vestige_TuningValues", step_id("values", cell.key), **values, freeu=freeu is not None, **factors)
    return node.out(0)


def _add_text(graph: GraphBuilder, side: str, clip: Any, text: Any, values: TuningValues) -> Any:
    """A prompt, once for each text encoder it is read by."""
    return graph.node("CLIPTextEncode", step_id(side, values.lora_model, values.lora_clip), clip=clip, text=text).out(0)


def _grid(tuning: Tuning, given: Any) -> Grid:
    """Raises `TuningError`: the axes cannot be read, or make no grid."""
    x = parse_axis(given["x_axis"], given["x_values"])
    y = None if given["y_axis"] == _ONE_AXIS else parse_axis(given["y_axis"], given["y_values"])
    return make_grid(tuning.values, x, y, given["most_pictures"])


def _refuse_fixed_text(grid: Grid, wired: Any) -> None:
    swept = {axis.name for axis in (grid.x, grid.y) if axis is not None}
    fixed = [name for name in ("positive_conditioning", "negative_conditioning") if wired.get(name) is not None]
    if "lora_clip" in swept and fixed:
        raise TuningError(
            f"lora_clip changes how a prompt is read, and {fixed[0]} is read already: "
            "unplug it and write the prompt here."
        )


def _title(tuning: Tuning, grid: Grid, given: Any) -> str:
    swept = {axis.name for axis in (grid.x, grid.y) if axis is not None}
    fixed = [f"{name} {getattr(tuning.values, name):g}" for name in ("weight", "end_at") if name not in swept]
    sampling = f"{given['steps']} steps {given['sampler_name']} {given['scheduler']}"
    noise = f"cfg {given['cfg']:g} · seed {given['seed']}"
    return " · ".join((tuning.origin or "values by hand", *fixed, sampling, noise))


def _wired() -> list[io.Input]:
    return [
        io.Model.Input("model", lazy=True, tooltip="The checkpoint's model, without the character."),
        io.Clip.Input("clip", lazy=True, tooltip="The checkpoint's text encoder, without the character."),
        io.Vae.Input("vae", lazy=True, tooltip="Turns latents into pictures."),
        io.Latent.Input(
            "latent_image", lazy=True, tooltip="An empty latent of the pictures' size, or one to begin from."
        ),
        io.Custom(OUTFIT_MODELS).Input(
            "models", lazy=True, tooltip="The IP-Adapter and its image encoder, from Load Outfit Models."
        ),
        io.Custom(FEATURES).Input(
            "features", lazy=True, tooltip="What the encoder saw in the reference, from Encode Reference."
        ),
        io.Custom(TUNING).Input("tuning", tooltip="The numbers to begin from, from Tuning Preset or Tuning Values."),
        io.Mask.Input(
            "mask",
            optional=True,
            lazy=True,
            tooltip="Where the reference is worn: white is there. Without one: everywhere.",
        ),
        io.Conditioning.Input(
            "positive_conditioning",
            optional=True,
            lazy=True,
            tooltip="A finished conditioning in place of the positive prompt below.",
        ),
        io.Conditioning.Input(
            "negative_conditioning",
            optional=True,
            lazy=True,
            tooltip="A finished conditioning in place of the negative prompt below.",
        ),
    ]


def _texts() -> list[io.Input]:
    return [
        io.String.Input(
            "positive",
            default="",
            multiline=True,
            tooltip="The prompt, with the character's trigger word and the item by name. It is read with the LoRA.",
        ),
        io.String.Input("negative", default="", multiline=True, tooltip="What the picture is to keep away from."),
    ]


def _axes() -> list[io.Input]:
    return [
        io.Combo.Input("x_axis", options=list(AXES), default="weight", tooltip="The value that changes along a row."),
        io.String.Input("x_values", default="0.3:0.5:0.05", tooltip=_RANGE),
        io.Combo.Input(
            "y_axis",
            options=[_ONE_AXIS, *AXES],
            default="end_at",
            tooltip="The value that changes down a column. none: one row, one variable at a time.",
        ),
        io.String.Input("y_values", default="0.7:0.9:0.05", tooltip=_RANGE),
        io.Int.Input(
            "most_pictures",
            default=64,
            min=1,
            max=MOST_CELLS,
            tooltip="A sweep of more pictures than this is refused before anything is rendered.",
        ),
    ]


def _sampling() -> list[io.Input]:
    return [
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=0xFFFFFFFFFFFFFFFF,
            control_after_generate=False,
            tooltip="The noise all pictures begin from. Leave it alone while comparing.",
        ),
        io.Int.Input("steps", default=25, min=1, max=10000, tooltip="Sampling steps of each picture."),
        io.Float.Input(
            "cfg", default=6.0, min=0.0, max=100.0, step=0.1, round=0.01, tooltip="Classifier-free guidance."
        ),
        io.Combo.Input(
            "sampler_name",
            options=list(comfy.samplers.KSampler.SAMPLERS),
            default="dpmpp_2m",
            tooltip="The sampler, as in KSampler.",
        ),
        io.Combo.Input(
            "scheduler",
            options=list(comfy.samplers.KSampler.SCHEDULERS),
            default="karras",
            tooltip="The noise schedule. end_at is a sigma: how many steps it leaves depends on this.",
        ),
        io.Float.Input(
            "denoise", default=1.0, min=0.0, max=1.0, step=0.01, tooltip="Below 1 the latent is kept in part."
        ),
    ]
