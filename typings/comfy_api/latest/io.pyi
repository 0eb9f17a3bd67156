"""Schemas, sockets and widgets of V3 nodes. A class attribute `io_type` is the name of the link in the editor."""

from collections.abc import Awaitable, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar

from .ui import UIOutput

class FolderType(str, Enum):
    input = "input"
    output = "output"
    temp = "temp"

class UploadType(str, Enum):
    image = "image_upload"
    audio = "audio_upload"
    video = "video_upload"
    model = "file_upload"

class NumberDisplay(str, Enum):
    number = "number"
    slider = "slider"

class RemoteOptions:
    """A combo whose options the editor fetches from `route`; times in milliseconds."""

    def __init__(
        self,
        route: str,
        refresh_button: bool,
        control_after_refresh: str = "first",
        timeout: int | None = None,
        max_retries: int | None = None,
        refresh: int | None = None,
    ) -> None: ...

class Hidden(str, Enum):
    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"

class HiddenHolder:
    """What `Schema.hidden` asked for; None where it was not asked for or is not there."""

    unique_id: str
    prompt: dict[str, Any] | None
    extra_pnginfo: dict[str, Any] | None
    dynprompt: Any

class Input:
    id: str
    display_name: str | None
    optional: bool
    tooltip: str | None
    def __init__(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: Mapping[str, Any] | None = None,
    ) -> None: ...
    def as_dict(self) -> dict[str, Any]: ...
    def get_io_type(self) -> str: ...

class WidgetInput(Input):
    default: Any

class Output:
    id: str | None
    display_name: str | None
    tooltip: str | None
    is_output_list: bool
    def __init__(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
    ) -> None: ...
    def get_io_type(self) -> str: ...

_Input = Input
_Output = Output

class ComfyType:
    """A kind of link."""

    io_type: ClassVar[str]

class ComfyTypeIO(ComfyType):
    """One with a socket to plug into (`Input`) and one to plug from (`Output`)."""

    class Input(_Input): ...
    class Output(_Output): ...

def Custom(io_type: str) -> type[ComfyTypeIO]: ...

class Boolean(ComfyType):
    class Output(_Output): ...

    class Input(WidgetInput):
        def __init__(
            self,
            id: str,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            lazy: bool | None = None,
            default: bool | None = None,
            label_on: str | None = None,
            label_off: str | None = None,
            socketless: bool | None = None,
            force_input: bool | None = None,
        ) -> None: ...

class Int(ComfyType):
    class Output(_Output): ...

    class Input(WidgetInput):
        def __init__(
            self,
            id: str,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            lazy: bool | None = None,
            default: int | None = None,
            min: int | None = None,
            max: int | None = None,
            step: int | None = None,
            control_after_generate: bool | None = None,
            display_mode: NumberDisplay | None = None,
            socketless: bool | None = None,
            force_input: bool | None = None,
        ) -> None: ...

class Float(ComfyType):
    class Output(_Output): ...

    class Input(WidgetInput):
        def __init__(
            self,
            id: str,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            lazy: bool | None = None,
            default: float | None = None,
            min: float | None = None,
            max: float | None = None,
            step: float | None = None,
            round: float | None = None,
            display_mode: NumberDisplay | None = None,
            socketless: bool | None = None,
            force_input: bool | None = None,
        ) -> None: ...

class String(ComfyType):
    class Output(_Output): ...

    class Input(WidgetInput):
        def __init__(
            self,
            id: str,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            lazy: bool | None = None,
            multiline: bool = False,
            placeholder: str | None = None,
            default: str | None = None,
            dynamic_prompts: bool | None = None,
            socketless: bool | None = None,
            force_input: bool | None = None,
        ) -> None: ...

class Combo(ComfyType):
    class Input(WidgetInput):
        options: list[str] | list[int]
        def __init__(
            self,
            id: str,
            options: Sequence[str] | Sequence[int] | type[Enum] | None = None,
            display_name: str | None = None,
            optional: bool = False,
            tooltip: str | None = None,
            lazy: bool | None = None,
            default: str | int | Enum | None = None,
            control_after_generate: bool | None = None,
            upload: UploadType | None = None,
            image_folder: FolderType | None = None,
            remote: RemoteOptions | None = None,
            socketless: bool | None = None,
        ) -> None: ...

    class Output(_Output):
        def __init__(
            self,
            id: str | None = None,
            display_name: str | None = None,
            options: Sequence[str] | None = None,
            tooltip: str | None = None,
            is_output_list: bool = False,
        ) -> None: ...

class AnyType(ComfyTypeIO): ...
class Clip(ComfyTypeIO): ...
class ClipVision(ComfyTypeIO): ...
class ClipVisionOutput(ComfyTypeIO): ...
class Conditioning(ComfyTypeIO): ...
class FaceAnalysis(ComfyTypeIO): ...
class Guider(ComfyTypeIO): ...
class Image(ComfyTypeIO): ...
class Latent(ComfyTypeIO): ...
class Mask(ComfyTypeIO): ...
class Model(ComfyTypeIO): ...
class Noise(ComfyTypeIO): ...
class Sampler(ComfyTypeIO): ...
class Sigmas(ComfyTypeIO): ...
class Vae(ComfyTypeIO): ...

class Schema:
    """What the editor shows of a node. Ids of inputs and outputs must all differ, in v0.3.64 from each other too."""

    node_id: str
    display_name: str | None
    category: str
    description: str
    inputs: list[Input]
    outputs: list[Output]
    hidden: list[Hidden]
    is_input_list: bool
    is_output_node: bool
    enable_expand: bool
    def __init__(
        self,
        node_id: str,
        display_name: str | None = None,
        category: str = "sd",
        inputs: Sequence[Input] = ...,
        outputs: Sequence[Output] = ...,
        hidden: Sequence[Hidden] = ...,
        description: str = "",
        is_input_list: bool = False,
        is_output_node: bool = False,
        is_deprecated: bool = False,
        is_experimental: bool = False,
        not_idempotent: bool = False,
        enable_expand: bool = False,
    ) -> None: ...

class NodeOutput:
    """A node's results in the order of its outputs, what the editor shows, and the nodes it expands into."""

    args: tuple[Any, ...]
    ui: UIOutput | Mapping[str, Any] | None
    expand: dict[str, Any] | None
    block_execution: str | None
    def __init__(
        self,
        *args: Any,
        ui: UIOutput | Mapping[str, Any] | None = None,
        expand: dict[str, Any] | None = None,
        block_execution: str | None = None,
    ) -> None: ...
    @property
    def result(self) -> tuple[Any, ...] | None: ...
    def __getitem__(self, index: int) -> Any: ...

class ComfyNode:
    """A node: class methods only, and a class that is locked while it executes."""

    hidden: ClassVar[HiddenHolder]
    @classmethod
    def define_schema(cls) -> Schema: ...
    @classmethod
    def execute(cls, *args: Any, **kwargs: Any) -> NodeOutput | Awaitable[NodeOutput]: ...
    @classmethod
    def validate_inputs(cls, *args: Any, **kwargs: Any) -> bool | str | Awaitable[bool | str]: ...
    @classmethod
    def fingerprint_inputs(cls, *args: Any, **kwargs: Any) -> Any: ...
    @classmethod
    def check_lazy_status(cls, *args: Any, **kwargs: Any) -> list[str]: ...
    @classmethod
    def GET_SCHEMA(cls) -> Schema: ...
