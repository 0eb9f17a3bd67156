from typing import Any

MAX_RESOLUTION: int
NODE_CLASS_MAPPINGS: dict[str, type[Any]]
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str]
