from collections.abc import Callable
from typing import Any

class CallbacksMP:
    ON_CLONE: str
    ON_LOAD: str
    ON_DETACH: str
    ON_CLEANUP: str
    ON_PRE_RUN: str

class WrappersMP:
    OUTER_SAMPLE: str
    SAMPLER_SAMPLE: str
    CALC_COND_BATCH: str
    APPLY_MODEL: str
    DIFFUSION_MODEL: str

class WrapperExecutor:
    """Calls the next wrapper, or what is wrapped."""

    original: Callable[..., Any]
    class_obj: object
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
