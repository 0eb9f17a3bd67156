"""The report as one HTML page with the pictures in it: no other file, no script."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

from PIL import Image

from server.training.dataset.report import Picture, Report
from server.training.dataset.words import KINDS
from server.training.findings import Finding

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--error:#b3261e;--warning:#8a5a00;--note:#4a6572}
@media (prefers-color-scheme:dark){:root{--error:#ff8a80;--warning:#ffc46b;--note:#9fc3d4}}
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:78rem;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.error{color:var(--error)}.warning{color:var(--warning)}.note{color:var(--note)}
ul{padding-left:1.2rem;margin:.25rem 0}table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(15rem,1fr));gap:1rem}
figure{margin:0;border:1px solid var(--line);border-radius:.5rem;overflow:hidden;display:flex;flex-direction:column}
figure img{width:100%;height:15rem;object-fit:contain;background:#8882}
figcaption{padding:.6rem .8rem;font-size:.875rem}figcaption p{margin:.25rem 0;overflow-wrap:anywhere}
.broken{height:15rem;display:grid;place-items:center;background:#8882}.small{font-size:.875rem;opacity:.8}
.row{display:flex;gap:.5rem;flex-wrap:wrap}.row img{height:8rem}
"""
_CSP = "default-src 'none';img-src data:;style-src 'unsafe-inline'"
_QUALITY = 80


def html_page(report: Report) -> str:
    """The page; everything in it that comes from files is escaped."""
    by_name = {one.name: one for one in report.pictures}
    errors = sum(one.severity == "error" for one in report.all)
    warnings = sum(one.severity == "warning" for one in report.all)
    title = f"{report.folder.absolute().name}: {len(report.pictures)} pictures"
    parts = [
        f"<h1>{escape(title)}</h1><p>{errors} errors, {warnings} warnings.</p>",
        _section("The dataset", _list(report.findings)),
        _section("Buckets", _buckets(report)),
        _section("Framing, as the captions say", escape(_counted(report.framings))),
        _groups("Nearly the same", report.same, by_name),
        _groups("The same angle", report.angles, by_name),
        f'<h2>Pictures</h2><div class="grid">{"".join(map(_figure, report.pictures))}</div>',
        _section("What the words mean", _meanings(report.all)),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_CSP}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>{body}" if body else ""


def _list(findings: Iterable[Finding]) -> str:
    rows = [
        f'<li class="{one.severity}">{escape(f"{one.where}: " if one.where else "")}{escape(one.text)}</li>'
        for one in findings
    ]
    return f"<ul>{''.join(rows)}</ul>" if rows else ""


def _buckets(report: Report) -> str:
    rows = "".join(
        f"<tr><td>{width} × {height}</td><td>{count}</td></tr>" for (width, height), count in report.buckets().items()
    )
    return f"<table><tr><th>Trained at</th><th>Seen in an epoch</th></tr>{rows}</table>" if rows else ""


def _groups(title: str, groups: Sequence[Sequence[str]], pictures: dict[str, Picture]) -> str:
    rows = [
        f'<div class="row">{"".join(_image(pictures[name]) for name in group)}</div>'
        f'<p class="small">{escape(", ".join(group))}</p>'
        for group in groups
    ]
    return _section(title, "".join(rows))


def _figure(picture: Picture) -> str:
    placed = picture.placed
    size = f"{placed.size[0]} × {placed.size[1]} → {placed.bucket[0]} × {placed.bucket[1]}" if placed else "damaged"
    return (
        f"<figure>{_image(picture)}<figcaption><strong>{escape(picture.name)}</strong> "
        f'<span class="small">{escape(size)}</span><p>{escape(picture.caption)}</p>'
        f'<p class="small">{escape(picture.source)}</p>{_list(_bare(picture.findings))}</figcaption></figure>'
    )


def _bare(findings: Iterable[Finding]) -> list[Finding]:
    return [Finding(one.severity, one.kind, one.text) for one in findings]


def _image(picture: Picture) -> str:
    if picture.thumbnail is None:
        return '<div class="broken">cannot be shown</div>'
    return f'<img alt="{escape(picture.name)}" src="data:image/webp;base64,{_encoded(picture.thumbnail)}">'


def _encoded(image: Image.Image) -> str:
    out = io.BytesIO()
    image.save(out, "WEBP", quality=_QUALITY)
    return base64.b64encode(out.getvalue()).decode()


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def _meanings(findings: Iterable[Finding]) -> str:
    kinds = dict.fromkeys(one.kind for one in findings)
    rows = [f"<li><strong>{escape(KINDS[kind].short)}.</strong> {escape(KINDS[kind].why)}</li>" for kind in kinds]
    return f"<ul>{''.join(rows)}</ul>" if rows else ""
