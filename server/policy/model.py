"""`policy.toml` as typed models, and what every server has without one.

levels = […]          the content levels, the tamest first; `never` stands above them all and no plan unlocks it
[plans]               plan → the highest level it may have
[examples] [phrases]  what the classifier compares a message with, by level, `never` or `self_harm`
[decline] [self_harm] what is said
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from server.routing.policy.model import repeated

NEVER = "never"
SELF_HARM = "self_harm"
EVERYTHING = "everything"
"""The one level of a server without a policy file."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Sentence = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
Sentences = Annotated[tuple[Sentence, ...], Field(max_length=2_000)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DeclineWording(Part):
    """What the character says instead; `{char}` and `{user}` are names. `never`: where no plan would help."""

    above: Annotated[Sentences, Field(min_length=1)] = (
        "*shakes their head with a smile* Not that, {user}. Let's stay where we are. What else is on your mind?",
        "Hmm, that's further than I'll go, {user}. Tell me something about your day instead?",
        "*looks away for a moment* Let's not go there. I'd rather hear what you've been up to.",
    )
    never: Annotated[Sentences, Field(min_length=1)] = (
        "No. That's something I won't do, {user}, not even as a story. Let's talk about something else.",
        "*steps back* No, {user}. I won't go there with you. Is there something else I can do for you?",
    )


class SelfHarm(Part):
    """What a person hears who may be in danger. `instead` of the character's reply, or shown `beside` it."""

    reply: Literal["instead", "beside", "off"] = "instead"
    message: Annotated[str, Field(min_length=1, max_length=4_000)] = (
        "I'm stopping our story for a moment, because what you wrote worries me. I'm an AI and cannot help you the way "
        "a person can, and you deserve a person right now.\n\n"
        "If you might act on this, please call your emergency number (112 in Europe, 911 in the USA and Canada, 999 in "
        "the UK). If you can, tell somebody near you, and put some distance between you and whatever you could hurt "
        "yourself with.\n\n"
        "People to talk to, day and night:\n{resources}\n\n"
        "If I misread you, tell me, and we go on."
    )
    resources: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=300)], ...], Field(max_length=50)] = (
        "USA and Canada: call or text 988",
        "UK and Ireland: Samaritans, 116 123",
        "Poland: 800 70 2222; for young people 116 111",
        "Germany: TelefonSeelsorge, 0800 111 0 111",
        "Anywhere else: findahelpline.com lists lines in your country and language",
    )

    @property
    def text(self) -> str:
        """The whole message, the resources as a list."""
        return self.message.replace("{resources}", "\n".join(f"- {one}" for one in self.resources))


class Thresholds(Part):
    """When a text counts as above the tamest level. Cosine similarities, after what all examples share was taken out.

    `floor`: the least likeness to a level's examples, the embedder's own where unset; `standing_floor`: the same for a
    card, a pin or system text, which are long and speak of much; `margin`: how much nearer than to any tamer level.
    """

    floor: Annotated[float, Field(ge=0, le=1)] | None = None
    standing_floor: Annotated[float, Field(ge=0, le=1)] | None = None
    margin: Annotated[float, Field(ge=-0.5, le=0.5)] = 0.02


class ContentPolicy(Part):
    """The whole file. `classifier`: `examples`, or `module:factory` for one of your own."""

    levels: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)] = (EVERYTHING,)
    plans: dict[str, Name] = Field(default_factory=dict)
    classifier: Annotated[str, Field(pattern=r"^(examples|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")] = "examples"
    shipped: bool = True
    examples: dict[Name, Sentences] = Field(default_factory=dict)
    phrases: dict[Name, Sentences] = Field(default_factory=dict)
    thresholds: Thresholds = Thresholds()
    decline: DeclineWording = DeclineWording()
    self_harm: SelfHarm = SelfHarm()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if twice := repeated(self.levels):
            raise ValueError(f"the level {twice!r} is there twice")
        for kept in (NEVER, SELF_HARM):
            if kept in self.levels:
                raise ValueError(f"{kept!r} is no level of the ladder: it is always there")
        labels = {*self.levels, NEVER, SELF_HARM}
        for table in ("plans", "examples", "phrases"):
            known = set(self.levels) if table == "plans" else labels
            named = self.plans.values() if table == "plans" else getattr(self, table)
            for name in named:
                if name not in known:
                    raise ValueError(f"{table} names the level {name!r}: there is {', '.join(sorted(known))}")
        return self

    @property
    def open(self) -> bool:
        """Whether every plan has the one level there is, as without a file."""
        return self.levels == (EVERYTHING,)

    def rank(self, level: str) -> int:
        """A level's place, 0 for the tamest; `never` is above all.

        Raises:
            ValueError: there is no such level.
        """
        return len(self.levels) if level == NEVER else self.levels.index(level)

    def ceiling(self, plan: str) -> str:
        """The highest level of a plan: the tamest where the file does not name the plan."""
        return self.plans.get(plan, self.levels[0])

    def unlocked_by(self, level: str) -> str | None:
        """The plan with the lowest ceiling that has the level, the first in the file of several; None: none has it."""
        if level == NEVER:
            return None
        fitting = [(self.rank(ceiling), plan) for plan, ceiling in self.plans.items()]
        fitting = [one for one in fitting if one[0] >= self.rank(level)]
        return min(fitting, key=lambda one: one[0])[1] if fitting else None
