"""What is wrong with a policy, each with its line and key. Errors stop the start; warnings are for whoever wrote it."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from server.routing.policy.model import BUNDLED, LIKE, OPENROUTER, PolicyFile
from server.toml_lines import Lines

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """`key` as dotted path. `fatal`: the policy cannot be used."""

    line: int
    key: str
    message: str
    fatal: bool = True

    def at(self, file: str) -> str:
        """One line for a person."""
        return f"{file}:{self.line}: {self.key}: {self.message}"


class Noted:
    """Problems as they are found."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.found: list[Problem] = []

    def error(self, path: Sequence[str | int], message: str) -> None:
        self._note(path, message, fatal=True)

    def warn(self, path: Sequence[str | int], message: str) -> None:
        self._note(path, message, fatal=False)

    def _note(self, path: Sequence[str | int], message: str, *, fatal: bool) -> None:
        key = ".".join(str(part) for part in path) or "the file"
        self.found.append(Problem(self._lines.of(path), key, message, fatal))


def meant(name: str, known: Collection[str]) -> str:
    """`; did you mean 'x'?`, or which names there are."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there is {', '.join(sorted(known)) or 'none'}"


def check_references(policy: PolicyFile, noted: Noted) -> None:
    """What one part says of another: names, loops, gaps, deadlines."""
    _providers(policy, noted)
    if policy.default_mode not in policy.modes:
        noted.error(("default_mode",), f"no mode {policy.default_mode!r}{meant(policy.default_mode, policy.modes)}")
    for name, mode in policy.modes.items():
        if name == LIKE:
            noted.error(("modes", name), "no mode can have this name: it stands for another tier")
        if mode.first_token_seconds > mode.total_seconds:
            noted.error(("modes", name), "first_token_seconds is larger than total_seconds")
    for name, tier in policy.tiers.items():
        for mode in tier.chains:
            if mode not in policy.modes:
                noted.error(("tiers", name, mode), f"no mode {mode!r}{meant(mode, policy.modes)}")
        _likes(policy, name, noted)
    for path, chain in chains(policy):
        _chain(policy, path, chain, noted)


def check_advice(policy: PolicyFile, noted: Noted) -> None:
    """What works, and may disappoint."""
    used = {name for _, chain in chains(policy) for name in chain}
    for name in policy.models.keys() - used:
        noted.warn(("models", name), "no chain names this model")
    for path, chain in chains(policy):
        if len(chain) == 1 and policy.models[chain[0]].provider != BUNDLED:
            noted.warn(path, "nothing to fall back to: name a model of another provider after it")
        for first, second in pairwise(chain):
            if provider_of(policy, first) == provider_of(policy, second):
                noted.warn(
                    path,
                    f"{first!r} and {second!r} are of one provider ({provider_of(policy, first)}): "
                    "what stops the one may stop the other",
                )


def check_plans(policy: PolicyFile, plans: Collection[str], noted: Noted) -> None:
    """Every plan needs chains."""
    for plan in plans:
        if plan not in policy.tiers:
            noted.error(("tiers",), f"no tier {plan!r}, which is a plan of the settings{meant(plan, policy.tiers)}")
    for tier in policy.tiers:
        if tier not in plans:
            noted.warn(("tiers", tier), "no plan of the settings has this name, so nobody is on it")


def chains(policy: PolicyFile) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Every chain that is written down, with where."""
    for name, tier in policy.tiers.items():
        for mode, chain in tier.chains.items():
            yield ("tiers", name, mode), chain.chain
    if policy.summary is not None:
        yield ("summary", "chain"), policy.summary.chain


def provider_of(policy: PolicyFile, name: str) -> str:
    """Whose model it is: behind OpenRouter the maker's name, elsewhere the server's."""
    model = policy.models[name]
    speaks = policy.providers[model.provider].speaks if model.provider in policy.providers else None
    maker, slash, _ = model.id.partition("/")
    return maker.lstrip("~") if slash and OPENROUTER in (model.provider, speaks) else model.provider


def _providers(policy: PolicyFile, noted: Noted) -> None:
    for name, provider in policy.providers.items():
        if name == BUNDLED and provider.model_fields_set:
            noted.error(("providers", name), "the bundled model has no address and no key")
        elif name not in (OPENROUTER, BUNDLED) and provider.base_url is None:
            noted.error(("providers", name), "base_url is missing")
    known: Mapping[str, object] = {**policy.providers, OPENROUTER: None, BUNDLED: None}
    for name, model in policy.models.items():
        if model.provider not in known:
            noted.error(("models", name, "provider"), f"no provider {model.provider!r}{meant(model.provider, known)}")


def _likes(policy: PolicyFile, name: str, noted: Noted) -> None:
    """Follows `like`, and sees whether every mode has a chain in the end."""
    seen, modes, at = [name], set(policy.tiers[name].chains), policy.tiers[name].like
    while at is not None:
        if at not in policy.tiers:
            if len(seen) == 1:
                noted.error(("tiers", name, LIKE), f"no tier {at!r}{meant(at, policy.tiers)}")
            return
        if at in seen:
            noted.error(("tiers", name, LIKE), f"it loops: {' → '.join([*seen, at])}")
            return
        seen.append(at)
        modes |= set(policy.tiers[at].chains)
        at = policy.tiers[at].like
    for mode in policy.modes.keys() - modes:
        noted.error(("tiers", name), f"no chain for the mode {mode!r}")


def _chain(policy: PolicyFile, path: Path, chain: tuple[str, ...], noted: Noted) -> None:
    served: dict[tuple[str, str], str] = {}
    for name in chain:
        if name not in policy.models:
            noted.error(path, f"no model {name!r}{meant(name, policy.models)}")
            continue
        model = policy.models[name]
        if before := served.get((model.provider, model.id)):
            noted.error(path, f"the chain loops: {before!r} and {name!r} are the same model of {model.provider!r}")
        served[model.provider, model.id] = name
    if len(path) == 3 and path[2] in policy.modes:
        own, mode = policy.tiers[str(path[1])].chains[str(path[2])], policy.modes[str(path[2])]
        first, total = own.first_token_seconds or mode.first_token_seconds, own.total_seconds or mode.total_seconds
        if first > total:
            noted.error(path, f"first_token_seconds ({first:g}) is larger than total_seconds ({total:g})")
