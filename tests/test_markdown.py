"""Messages become HTML that formats what people write and can do nothing else."""

from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server import markdown
from server.markdown import render

PLAIN = {"p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "li", "h3", "h4", "h5", "h6"}
TABLE = {"table", "thead", "tbody", "tr", "th", "td"}
ATTRIBUTES = {"a": {"href", "rel", "target"}, "ol": {"start"}}
BAIT = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><animate attributeName=href values=javascript:alert(1)>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<a href=javascript:alert(1)>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\nscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox)",
    "[x](//evil.example/y)",
    "[x](http://a.example 'x\" onmouseover=\"alert(1)')",
    '[x](http://a.example/"onmouseover=alert(1))',
    "![x](javascript:alert(1))",
    '![x" onerror="alert(1)](http://a.example/y.png)',
    "![](data:image/svg+xml;base64,PHN2Zz4=)",
    "[![a](javascript:alert(1))](javascript:alert(2))",
    "<javascript:alert(1)>",
    '<http://a.example/"onclick=alert(1)>',
    "```html\n<script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\n```',
    "`<img src=x onerror=alert(1)>`",
    "|<img src=x onerror=alert(1)>|\n|-|\n|<script>|",
    "> > <script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<style>@import 'http://evil.example'</style>",
    "<div style=background:url(http://evil.example) class=bubble id=app>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "*<b onclick=alert(1)>*",
]


class Reader(HTMLParser):
    """What a browser would see: the tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self._texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self._texts)


def assert_harmless(html: str) -> None:
    for tag, attributes in Reader(html).tags:
        assert tag in PLAIN | TABLE | ATTRIBUTES.keys()
        assert attributes.keys() <= ATTRIBUTES.get(tag, set())
        if tag == "a":
            assert attributes["rel"] == "noopener noreferrer nofollow"
            assert attributes["target"] == "_blank"
            assert (attributes.get("href") or "https:").startswith(("http:", "https:", "mailto:"))


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*She looks up.* “Yes?”", "<p><em>She looks up.</em> “Yes?”</p>\n"),
        ("**loud** and ~~gone~~", "<p><strong>loud</strong> and <s>gone</s></p>\n"),
        ("one\ntwo", "<p>one<br>\ntwo</p>\n"),
        ("one\r\n\r\ntwo", "<p>one</p>\n<p>two</p>\n"),
        ("# A title", "<h3>A title</h3>\n"),
        ("###### small", "<h6>small</h6>\n"),
        ("3. three", '<ol start="3">\n<li>three</li>\n</ol>\n'),
        ("|a|\n|:-:|\n|1|", "<table>\n<thead>\n<tr>\n<th>a</th>\n</tr>\n</thead>\n"
         "<tbody>\n<tr>\n<td>1</td>\n</tr>\n</tbody>\n</table>\n"),
        ("    It was late.", "<p>It was late.</p>\n"),
        ("He left\n---\nShe stayed", "<p>He left</p>\n<hr>\n<p>She stayed</p>\n"),
        ("[aside]: not a link definition", "<p>[aside]: not a link definition</p>\n"),
        ("<START> & <b>", "<p>&lt;START&gt; &amp; &lt;b&gt;</p>\n"),
        ("![a hem](https://a.example/hem.png)",
         '<p><a href="https://a.example/hem.png" target="_blank" rel="noopener noreferrer nofollow">a hem</a></p>\n'),
        ("", ""),
    ],
)  # fmt: skip
def test_formats_what_people_write(text: str, html: str) -> None:
    assert render(text) == html


@pytest.mark.parametrize("text", BAIT)
def test_nothing_in_a_message_acts(text: str) -> None:
    assert_harmless(render(text))


@settings(deadline=None)
@given(st.lists(st.sampled_from(BAIT) | st.text(max_size=20), max_size=6))
def test_nothing_acts_in_any_mixture(parts: list[str]) -> None:
    assert_harmless(render("".join(parts)))


@settings(deadline=None)
@given(st.text(st.characters(codec=None), max_size=200))
def test_every_text_renders_to_text_that_can_be_sent(text: str) -> None:
    render(text).encode("utf-8")


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "word", " ", "\n", "\n\n", ".", "*", "_", "~", "(", ")", "!"]), max_size=40))
def test_letters_are_never_lost(parts: list[str]) -> None:
    text = "".join(parts)
    shown = Reader(render(text)).text
    assert [letter for letter in shown if letter.isalpha()] == [letter for letter in text if letter.isalpha()]


@pytest.mark.parametrize("half", ["\ud800", "\udfff", "a\ud83d b"])
def test_half_a_surrogate_pair_becomes_the_replacement_character(half: str) -> None:
    assert "\ufffd" in render(half)


@pytest.mark.parametrize("unit", ["> ", "- ", "1. ", "> - "])
def test_deep_nesting_is_shown_plainly_instead_of_losing_text(unit: str) -> None:
    for depth in range(1, 40):
        assert "at the bottom" in Reader(render(unit * depth + "at the bottom")).text


@pytest.mark.parametrize("unit", ["[", "**a ", "> ", "<", "- a\n"])
def test_a_megabyte_made_to_stall_the_parser_comes_back_whole_and_plain(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    html = render(text)
    assert Reader(html).text == text.replace("\n", "")
    assert_harmless(html)


@pytest.mark.parametrize("unit", ["[", "![", "*", "**a ", ">", "<", "`", "(", "~~a ", "- a\n", "|", "&", "[a](", "\\"])
def test_the_longest_formatted_text_made_to_stall_the_parser_renders(unit: str) -> None:
    assert_harmless(render(unit * (markdown.MAX_CHARACTERS // len(unit))))


def test_a_table_that_would_fill_up_a_hundred_thousand_cells_stays_text() -> None:
    text = "|a" * 300 + "|\n" + "|-" * 300 + "|\n" + "|\n" * 5_000
    assert "<table>" not in render(text)
