"""`vestige lora check-config`, `check-dataset` and what belongs to them: no server is needed."""

import hashlib
import subprocess
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from server.cli.tables import show
from server.training.buckets import Buckets
from server.training.check_config import check_config
from server.training.dataset.check import check_dataset
from server.training.dataset.copying import mended_copy
from server.training.dataset.page import html_page
from server.training.dataset.report import Report, as_json
from server.training.dataset.words import guide
from server.training.estimate import buckets_of
from server.training.findings import Finding, TrainingError, failed
from server.training.keys import FILE, Keys, written
from server.training.trainer_source import read_keys

_Strict = Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")]
_SECONDS = 10.0


def check_config_file(
    file: Annotated[Path, typer.Argument(help="A --config_file of sd-scripts' sdxl_train_network.py.")],
    value: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Print only what the trainer would have for this key, a line. Repeatable."),
    ] = None,
    strict: _Strict = False,
) -> None:
    """Say what is wrong with a training configuration, and what it amounts to; exit code 1 where it would fail."""
    checked = check_config(file)
    if value:
        for name in value:
            if name not in checked.config.keys.by_name:
                raise TrainingError(f"The trainer has no key {name!r}.")
            found = checked.config.value(name)
            print("" if found is None else str(found).replace("\n", " "))
        return
    _print(checked.findings)
    for line in (checked.estimate.lines() if checked.estimate else []) + checked.memory:
        print(line)
    print(f"{file}: {_count(checked.findings)}")
    _exit(checked.findings, strict)


def check_dataset_folder(
    folder: Annotated[Path, typer.Argument(help="The folder that holds the N_name folders.")],
    config: Annotated[
        Path | None, typer.Option("--for", metavar="FILE", help="The training configuration it is for.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="What the character is called, which no caption may say. Repeatable.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report as one page, with pictures.")
    ] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report for programs.")] = None,
    fix: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Make a copy there, mended where nothing is lost by it.")
    ] = None,
    strict: _Strict = False,
) -> None:
    """Look at the pictures and captions of a character before training; exit code 1 where they would spoil it."""
    buckets, batch, extension = Buckets(), 1, None
    if config is not None:
        settings = check_config(config).config
        buckets, batch = buckets_of(settings), max(1, int(settings.number("train_batch_size")))
        extension = settings.text("caption_extension") or None
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Looking at pictures", total=None)
        report = check_dataset(
            folder,
            buckets=buckets,
            batch_size=batch,
            caption_extension=extension,
            names=name or (),
            progress=lambda done, of: bar.update(task, completed=done, total=of),
        )
    _summary(report)
    document = as_json(report)
    if json is not None:
        _write(json, document)
    if html is not None:
        _write(html, html_page(report))
        print(f"The pictures with all that was found: {html}")
    if fix is not None:
        for line in mended_copy(report, fix, extension or ".txt"):
            print(line)
        print(f"The copy is {fix}: check it as well.")
    print(f"report sha256 {hashlib.sha256(document.encode()).hexdigest()}")
    print(f"{folder}: {len(report.pictures)} pictures, {_count(report.all)}")
    _exit(report.all, strict)


def dataset_guide() -> None:
    """Print kohya_presets/DATASET.md: how to choose and caption pictures, in the words of check-dataset."""
    print(guide(), end="")


def refresh_keys(
    checkout: Annotated[Path, typer.Argument(help="A checkout of kohya-ss/sd-scripts.")],
    output: Annotated[Path, typer.Option("--out", help="Where to write them.")] = FILE,
) -> None:
    """Read the trainer's keys from a checkout of it, in place of those that came with this version."""
    keys = Keys(_commit(checkout), read_keys(checkout))
    _write(output, written(keys))
    print(f"{len(keys.by_name)} keys at {keys.commit[:12]}: {output}")


def _summary(report: Report) -> None:
    _print(report.all)
    rows = [((f"{width} × {height}", str(count)), False) for (width, height), count in report.buckets().items()]
    if rows:
        show(("trained at", "seen in an epoch"), rows)


def _print(findings: list[Finding]) -> None:
    for one in findings:
        print(one)


def _count(findings: list[Finding]) -> str:
    counts = [
        (sum(one.severity == severity for one in findings), severity) for severity in ("error", "warning", "note")
    ]
    return ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in counts)


def _exit(findings: list[Finding], strict: bool) -> None:
    if failed(findings) or (strict and any(one.severity == "warning" for one in findings)):
        raise typer.Exit(1)


def _write(path: Path, text: str) -> None:
    """All of it or nothing."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise TrainingError(f"{path} cannot be written: {error.strerror or error}.") from None


def _commit(checkout: Path) -> str:
    try:
        answer = subprocess.run(  # noqa: S603 - git, with a path of the person's own
            ["git", "-C", str(checkout), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        raise TrainingError(f"{checkout} is no git checkout, so its commit cannot be written down.") from None
    return answer.stdout.strip()


def register(lora: typer.Typer) -> None:
    """Adds these commands to `vestige lora`."""
    for name, command in (
        ("check-config", check_config_file),
        ("check-dataset", check_dataset_folder),
        ("dataset-guide", dataset_guide),
        ("refresh-keys", refresh_keys),
    ):
        lora.command(name)(command)
