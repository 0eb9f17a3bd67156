"""The queue and the check of a graph before it is queued."""

from typing import Any

SENSITIVE_EXTRA_DATA_KEYS: tuple[str, ...]
"""Only in newer versions (v0.3.64 has none, and its queue items have no place for them)."""

async def validate_prompt(
    prompt_id: str, prompt: dict[str, Any], partial_execution_list: list[str] | None
) -> tuple[bool, dict[str, Any] | None, list[str], dict[str, Any]]:
    """Whether the graph can run, the error else, the output nodes that are good, errors by node."""
