"""Names of the keys. Those of one conversation share a hash tag, so they live on one node."""

from dataclasses import dataclass

from server.ids import Scope

SCOPES = (
    "vestige:scopes"  # sorted set of str(scope), all with score 0: a range by name lists one person's conversations
)
GARBAGE = "vestige:garbage"  # sorted set of `scope|record id`: what may be in Chroma and is in no conversation


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one conversation in the state store (and `hot`, `summary_text` in the cache)."""

    prefix: str

    @classmethod
    def of(cls, scope: Scope) -> "Keys":
        return cls(f"vestige:{{{scope}}}:")

    @property
    def meta(self) -> str:
        return self.prefix + "meta"

    @property
    def tail(self) -> str:
        return self.prefix + "tail"

    @property
    def windows(self) -> str:
        return self.prefix + "windows"

    @property
    def pins(self) -> str:
        return self.prefix + "pins"

    @property
    def todo(self) -> str:
        return self.prefix + "todo"

    @property
    def attempts(self) -> str:
        return self.prefix + "attempts"

    @property
    def derived(self) -> str:
        return self.prefix + "derived"

    @property
    def idem(self) -> str:
        return self.prefix + "idem"

    @property
    def idem_age(self) -> str:
        return self.prefix + "idem_age"

    @property
    def hot(self) -> str:
        return self.prefix + "hot"

    @property
    def summary_text(self) -> str:
        return self.prefix + "summary"
