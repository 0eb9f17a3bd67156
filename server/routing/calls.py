"""One call of one model: what is asked of it beside the prompt, and what is known of it while it runs."""

from collections.abc import Callable, Mapping
from typing import Any

from server.errors import ModelError
from server.routing.clock import Clock
from server.routing.types import Usage


class Call:
    """Made by whoever wants an answer, filled in by the endpoint, whichever way the call ends.

    Args:
        clock: its deadlines.
        model: the id to ask for; None for the endpoint's own choice.
        preferences: OpenRouter's `provider` object.
        on_identified: told once what the provider calls this generation.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        model: str | None = None,
        preferences: Mapping[str, Any] | None = None,
        on_identified: Callable[[str], None] | None = None,
    ) -> None:
        self.clock = clock
        self.model = model
        self.preferences = preferences
        self.answered_by: str | None = None
        """The model that the server says it used."""
        self.generation: str | None = None
        self.usage: Usage | None = None
        self.sent = False
        """Something may have been generated, and billed."""
        self.first: float | None = None
        """Seconds to the first visible token."""
        self._on_identified = on_identified

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self.clock.now() - self.clock.started

    def token(self) -> None:
        """A visible token came."""
        if self.first is None:
            self.first = self.seconds
            self.clock.spoke()

    def identified(self, generation: str | None) -> None:
        """The provider named the generation."""
        if generation and self.generation is None:
            self.generation = generation
            if self._on_identified is not None:
                self._on_identified(generation)

    def failed(self, error: ModelError) -> ModelError:
        """`error`, saying whether a part of the reply came before."""
        return type(error)(error.message, **{**error.details, "partial": self.first is not None})
