"""`vestige policy`: checks a content policy, and measures how well it tells messages apart."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.options import ConfigFile, Data, load_for
from server.cli.tables import show
from server.policy.model import SELF_HARM, ContentPolicy
from server.policy.reading import example as example_text
from server.policy.reading import examples_of, load_policy
from server.settings import Settings

if TYPE_CHECKING:
    from server.policy.evaluate import Evaluation

policy = typer.Typer(help="The content policy: how far each plan's conversations may go.", no_args_is_help=True)

SHOWN = 200

Policy = Annotated[Path | None, typer.Option("--policy", metavar="FILE", help="The policy file; else the settings'.")]


@policy.command()
def check(context: typer.Context, policy: Policy = None, data: Data = None, config: ConfigFile = None) -> None:
    """Say what is wrong with a policy file, or how far each plan goes."""
    settings = load_for(context, config, data).settings
    loaded = _load(policy, settings)
    examples = examples_of(loaded) if loaded.classifier == "examples" else {}
    show(("plan", "highest level"), (((plan, loaded.ceiling(plan)), False) for plan in settings.plans))
    print()
    phrases = {label: len(texts) for label, texts in loaded.phrases.items()}
    show(
        ("level", "examples", "phrases"),
        (((label, str(len(texts)), str(phrases.get(label, 0))), False) for label, texts in examples.items()),
    )


@policy.command("eval")
def evaluation(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help='JSON lines: {"text": "…", "level": "…", "before": [], "system": []}.')],
    policy: Policy = None,
    most: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit code 1 where more than this share is falsely allowed.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Do not list the messages that were misread.")] = False,
    data: Data = None,
    config: ConfigFile = None,
) -> None:
    """Read each message of a file as the gate would: confusion matrix, false-allow and false-decline rates."""
    settings = load_for(context, config, data).settings
    loaded = _load(policy, settings)
    found = asyncio.run(_evaluate(file, loaded, settings))
    _matrix(found)
    print()
    worst = _rates(found, loaded)
    if not quiet:
        for case, read in found.wrong[:SHOWN]:
            print(f"{case.level} read as {read}: {' '.join(case.text.split())[:160]!r}")
    if most is not None and worst > most:
        raise typer.Exit(1)


@policy.command()
def example() -> None:
    """Print a policy file to begin with: `vestige policy example > policy.toml`."""
    print(example_text(), end="")


def _load(path: Path | None, settings: Settings) -> ContentPolicy:
    return load_policy(path or settings.policy, settings.plans)


async def _evaluate(file: Path, policy: ContentPolicy, settings: Settings) -> "Evaluation":
    from server.memory.embedding import make_embedder
    from server.policy.classifier import make_classifier
    from server.policy.evaluate import evaluate, read_cases

    cases = read_cases(file, policy)
    examples = examples_of(policy) if policy.classifier == "examples" else {}
    embedder = make_embedder(settings.embedder, threads=1)
    try:
        return await evaluate(policy, make_classifier(policy, examples, embedder), cases)
    finally:
        embedder.close()


def _matrix(found: "Evaluation") -> None:
    """A row for each label that occurs, a column for each that was read."""
    rows = [label for label in found.labels if any(found.counts[label, read] for read in found.labels)]
    show(
        ("labelled ↓ read as →", *found.labels),
        (((label, *(str(found.counts[label, read]) for read in found.labels)), False) for label in rows),
    )


def _rates(found: "Evaluation", policy: ContentPolicy) -> float:
    """Prints the rates by ceiling; the worst false-allow rate."""
    worst, rows = 0.0, []
    for level in policy.levels:
        allowed, above = found.false_allows(policy, level)
        declined, within = found.false_declines(policy, level)
        worst = max(worst, allowed / above if above else 0.0)
        rows.append(((level, _rate(allowed, above), _rate(declined, within)), False))
    show(("ceiling", "false-allow rate", "false-decline rate"), rows)
    missed, signals = found.missed_signals()
    print(f"\naccuracy {found.accuracy():.3f}, {SELF_HARM} signals missed {_rate(missed, signals)}")
    return worst


def _rate(part: int, whole: int) -> str:
    return f"{part / whole:.3f} ({part} of {whole})" if whole else "– (none)"
