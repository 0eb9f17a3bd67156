"""Messages as safe HTML: markdown-it-py renders, nh3 keeps only what is on a short list.

Raw HTML in a message shows as text. Two layers, either of which would do: the renderer never passes markup through, and
the cleaner drops whatever is not expected of it.
"""

import html
import re
from collections.abc import MutableMapping, Sequence
from functools import cache
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

MAX_CHARACTERS = 20_000  # what is longer is shown as plain text: the parser's worst case grows with its square
MAX_CELLS = 4_000  # of tables; the parser fills short rows up, so few characters can ask for very many cells
MAX_NESTING = 20  # below that the parser drops text, so deeper nesting is shown as plain text too

_TEXT_TAGS = {"p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a"}
_TAGS = _TEXT_TAGS | {"h3", "h4", "h5", "h6"} | {"table", "thead", "tbody", "tr", "th", "td"}
_ATTRIBUTES = {"*": set[str](), "a": {"href"}, "ol": {"start"}}
_SCHEMES = {"http", "https", "mailto"}
# In talk these do harm: indented code swallows prose, `---` under a line makes it a heading, `[note]: text` vanishes.
_RULES_OFF = ("code", "lheading", "reference")
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def render(text: str) -> str:
    """`text`, CommonMark with tables and ~~strikethrough~~, as HTML that is safe to put into the page.

    A line break stays one. Links open in a new tab and only lead to http, https or mail; images become links to them.
    Never raises: what no HTML can hold becomes U+FFFD, and text beyond `MAX_CHARACTERS` or
    `MAX_NESTING` comes back unformatted.
    """
    text = _UNFIT.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))
    if len(text) > MAX_CHARACTERS:
        return _plain(text)
    lines = text.split("\n")
    cells = len(lines) * max(line.count("|") for line in lines)
    parser, env = _parser(tables=cells <= MAX_CELLS), {}
    tokens = parser.parse(text, env)
    if any(token.level >= MAX_NESTING - 1 for token in tokens):
        return _plain(text)
    return _cleaner().clean(parser.renderer.render(tokens, parser.options, env))


def _plain(text: str) -> str:
    return f"<p>{html.escape(text, quote=False).replace(chr(10), '<br>')}</p>"


@cache
def _parser(*, tables: bool) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "linkify": False, "maxNesting": MAX_NESTING})
    parser.enable(["strikethrough", "table"] if tables else ["strikethrough"]).disable(list(_RULES_OFF))
    parser.core.ruler.push("demote_headings", _demote_headings)
    parser.add_render_rule("image", _image_link)
    return parser


@cache
def _cleaner() -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


def _demote_headings(state: StateCore) -> None:
    """A message's headings rank below the page's own two levels."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"


def _image_link(
    renderer: RendererProtocol, tokens: Sequence[Token], index: int, options: OptionsDict, env: MutableMapping[str, Any]
) -> str:
    """Nothing is loaded from an address in a message; the reader may follow it."""
    token = tokens[index]
    source = str(token.attrGet("src") or "")
    return f'<a href="{html.escape(source)}">{html.escape(token.content or source)}</a>'
