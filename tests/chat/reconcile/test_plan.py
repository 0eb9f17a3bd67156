"""The rules of reconciling: stored + sent → plan. The table of docs/clients.md, and walks of a client's edits."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.chat.reconcile.align import Kept, Said, key
from server.chat.reconcile.plan import (
    DROP_MOST,
    Add,
    Again,
    Choose,
    Drop,
    Edit,
    GoOn,
    Greet,
    Plan,
    Say,
    Step,
    reconcile,
)
from server.memory.messages import Role

U, A = Role.USER, Role.ASSISTANT


def kept(*lines: str, chat: str | None = "c") -> list[Kept]:
    """`"u:text"`, `"a:text"`, `"a:said|other|…"` for alternatives; their ids are m0, m1, …

    A line that begins with `@x ` was said in chat x, with `@ ` in no client's chat.
    """
    made: list[Kept] = []
    for number, line in enumerate(lines):
        where, what = (
            (line[1 : line.index(" ")] or None, line[line.index(" ") + 1 :]) if line[0] == "@" else (chat, line)
        )
        role, text = what[0], what[2:]
        forms = tuple((key(form), index) for index, form in enumerate(text.split("|")))
        reply = role == "a" and bool(made) and made[-1].role is U and where is not None
        made.append(Kept(f"m{number}", U if role == "u" else A, forms, 0, where, reply))
    return made


def said(*lines: str) -> list[Said]:
    return [Said(U if line[0] == "u" else A, line[2:]) for line in lines]


def then(text: str, *steps: Step) -> Plan:
    return Plan(steps, Say(text), "c")


FIVE = ("a:Welcome!", "u:hi", "a:Hello Anna", "u:how are you", "a:Fine, thanks")

TABLE: list[tuple[str, Sequence[str], Sequence[str], Plan]] = [
    ("the first message", (), ("u:hi",), Plan((), Say("hi"))),
    ("the first after the greeting", (), ("a:Welcome!", "u:hi"), Plan((Greet(0),), Say("hi"))),
    ("after another greeting", (), ("a:Good  evening.", "u:hi"), Plan((Greet(1),), Say("hi"))),
    (
        "a history from elsewhere",
        (),
        ("u:one", "a:two", "u:three"),
        Plan((Add(U, "one"), Add(A, "two")), Say("three")),
    ),
    ("the next message", FIVE, (*FIVE, "u:good"), then("good")),
    (
        "white space is the client's",
        FIVE,
        ("u:how are\nyou ", "a: Fine,  thanks", "u:good"),
        then("good"),
    ),
    ("a full context shows less at its front", FIVE, (*FIVE[3:], "u:good"), then("good")),
    ("the greeting is not shown", FIVE, (*FIVE[1:], "u:good"), then("good")),
    ("the last call again", FIVE, FIVE[:4], Plan((), Again("m4", whole=True), "c")),
    ("the only call again", FIVE[1:3], ("u:hi",), Plan((), Again("m1", whole=True), "c")),
    (
        "the first call of a later chat again",
        (*FIVE, "u:hi", "a:Hi!"),
        ("a:Hm", "u:hi"),
        Plan((), Again("m6", whole=True), "c"),
    ),
    ("a question whose reply failed", FIVE[:4], FIVE[:4], Plan((), Again(None), "c")),
    ("said again with more after it", ("u:hi",), ("u:hi", "u:hello?"), then("hello?")),
    ("two in a row", FIVE, (*FIVE, "u:well", "u:so"), then("so", Add(U, "well"))),
    ("to go on", FIVE, FIVE, Plan((), GoOn(), "c")),
    (
        "a reply begun by the client",
        FIVE,
        (*FIVE, "u:tell me", "a:Well, once"),
        Plan((Add(U, "tell me"), Add(A, "Well, once")), GoOn(), "c"),
    ),
    (
        "what went on is two messages there",
        (*FIVE[:4], "a:Fine, thanks And you?"),
        (*FIVE, "a:And you?", "u:good"),
        then("good"),
    ),
    (
        "another version chosen",
        (*FIVE[:4], "a:Fine|Great"),
        (*FIVE[:4], "a:Great", "u:oh"),
        then("oh", Choose("m4", 1)),
    ),
    (
        "an edit in the middle",
        FIVE,
        (*FIVE[:2], "a:Hello you", *FIVE[3:], "u:good"),
        then("good", Edit("m2", "Hello you")),
    ),
    (
        "an edit at the front",
        FIVE,
        ("a:Come in!", *FIVE[1:], "u:good"),
        then("good", Edit("m0", "Come in!")),
    ),
    ("an edit of the last reply", FIVE, (*FIVE[:4], "a:Bad", "u:oh"), then("oh", Edit("m4", "Bad"))),
    (
        "an edit of the last exchange",
        FIVE,
        (*FIVE[:3], "u:what now", "a:Bad", "u:oh"),
        then("oh", Edit("m3", "what now"), Edit("m4", "Bad")),
    ),
    ("an edit, and to go on", FIVE, (*FIVE[:4], "a:Fine"), Plan((Edit("m4", "Fine"),), GoOn(), "c")),
    ("the last question edited", FIVE, (*FIVE[:3], "u:where are you"), then("where are you", Drop("m3"))),
    ("an exchange taken back", (*FIVE, "u:x", "a:y"), (*FIVE, "u:good"), then("good", Drop("m5"))),
    (
        "an earlier question asked again",
        (*FIVE, "u:x", "a:y"),
        FIVE[:4],
        Plan((Drop("m5"),), Again("m4", whole=True), "c"),
    ),
    ("to go on from an earlier reply", (*FIVE, "u:x", "a:y"), FIVE, Plan((Drop("m5"),), GoOn(), "c")),
    (
        "said elsewhere meanwhile",
        FIVE,
        (*FIVE, "u:x", "a:y", "u:good"),
        then("good", Add(U, "x"), Add(A, "y")),
    ),
    ("an injection that moves", FIVE, (*FIVE[:2], "u:[note]", *FIVE[2:], "u:good"), then("good")),
    ("hidden in the client", FIVE, (FIVE[0], FIVE[3], FIVE[4], "u:good"), then("good")),
    (
        "an edit of the greeting, which belongs to no chat",
        ("@ a:Welcome!", *FIVE[1:]),
        ("a:Come in!", *FIVE[1:], "u:good"),
        then("good", Edit("m0", "Come in!")),
    ),
    ("an edit of the first reply", FIVE[1:3], ("u:hi", "a:Hullo", "u:so"), then("so", Edit("m1", "Hullo"))),
    ("a greeting that was not yet chosen", ("a:Hi|Hello",), ("a:Hello", "u:x"), then("x", Choose("m0", 1))),
    # what is not taken back
    (
        "a version far away that reads like something else",
        ("u:ready?", "a:No.|Yes.", *FIVE[1:]),
        ("a:Yes.", *FIVE[2:], "u:good"),
        then("good"),
    ),
    (
        "a page's beginning is not edited",
        ("@ a:Welcome!", "@ u:x", "@ a:y", *FIVE[1:]),
        ("a:Welcome!", "u:p", "a:q", *FIVE[1:], "u:good"),
        then("good"),
    ),
    (
        "a page's only exchange is not edited",
        ("@ a:Welcome!", "@ u:x", "@ a:y"),
        ("a:Welcome!", "u:p", "a:q", "u:good"),
        Plan((Add(U, "p"), Add(A, "q")), Say("good")),
    ),
    ("a new chat", FIVE, ("u:hey",), Plan((), Say("hey"))),
    ("a new chat with a greeting of its own", FIVE, ("a:Yes?", "u:hey"), Plan((), Say("hey"))),
    ("a new chat that begins as the first did", (*FIVE, "u:x", "a:y"), FIVE[:2], then("hi")),
    ("a page's exchange since", (*FIVE, "@ u:x", "@ a:y"), (*FIVE, "u:good"), then("good")),
    ("another chat's exchange since", (*FIVE, "@d u:x", "@d a:y"), (*FIVE, "u:good"), then("good")),
    (
        "the first chat goes on after another's",
        (*FIVE, "@d u:x", "@d a:y", "u:b", "a:c"),
        (*FIVE, "u:b", "a:c", "u:good"),
        then("good"),
    ),
    (
        "a branch from far back",
        (*FIVE, *("u:x", "a:y") * (DROP_MOST // 2 + 1)),
        (*FIVE, "u:good"),
        then("good"),
    ),
    (
        "to go on from far back has no place",
        (*FIVE, *("u:x", "a:y") * (DROP_MOST // 2 + 1)),
        FIVE,
        Plan(),
    ),
    (
        "another chat's exchange is not edited",
        (*FIVE[:3], "@d u:x", "@d a:y", *FIVE[3:]),
        (*FIVE[:3], "u:p", "a:q", *FIVE[3:], "u:good"),
        then("good"),
    ),
    (
        "alike beginnings are no evidence",
        ("u:hi", "a:Hello", "u:ok", "a:Well"),
        ("u:hi", "a:Other", "u:ok", "u:so"),
        then("so"),
    ),
    (
        "a chat that nobody here knows",
        FIVE,
        ("u:one", "a:two", "u:three"),
        Plan((Add(U, "one"), Add(A, "two")), Say("three")),
    ),
    ("only a greeting, to go on", FIVE, ("a:Something else",), Plan()),
]


@pytest.mark.parametrize(("stored", "sent", "plan"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_table(stored: Sequence[str], sent: Sequence[str], plan: Plan) -> None:
    assert reconcile(kept(*stored), said(*sent), whole=True, greetings=("Welcome!", "Good evening.")) == plan


def test_what_is_too_long_to_be_stored_is_passed_over() -> None:
    sent = [replace(said("u:one")[0], fits=False), *said("a:two", "u:three")]
    assert reconcile([], sent, whole=True) == Plan((Add(A, "two"),), Say("three"))


def test_an_edit_at_the_front_of_what_was_read_is_none() -> None:
    """Where older messages were not read, nobody knows what stood before."""
    sent = said("a:Come in!", *FIVE[1:], "u:good")
    assert reconcile(kept(*FIVE), sent, whole=False) == then("good")


# a client whose history goes through us alone: whatever it does, what is stored is what it shows


class Store:
    """Does what a plan says, as `Reconciler` does with the real store."""

    def __init__(self) -> None:
        self.messages: list[Kept] = []
        self.replies = 0
        self.ids = 0

    @property
    def shown(self) -> list[str]:
        return [f"{one.role[0]}:{one.forms[0][0]}" for one in self.messages]

    def call(self, sent: Sequence[Said]) -> str:
        """The text of the reply, or of what it went on with."""
        plan = reconcile(self.messages, sent, whole=True)
        chat = plan.chat or f"chat{self.ids}"
        for step in plan.steps:
            self._take(step, chat)
        assert plan.then is not None
        match plan.then:
            case Say(text):
                self._add(U, text, chat)
                return self._reply(chat)
            case Again(id):
                if id is None:
                    return self._reply(chat)
                at = self._at(id)
                assert at == len(self.messages) - 1
                new = self._text()
                one = self.messages[at]
                forms = ((key(new), len(one.forms)), *one.forms)
                self.messages[at] = replace(one, forms=forms, chosen=len(one.forms))
                return new
            case GoOn():
                last, more = self.messages[-1], self._text()
                text = last.forms[0][0] + more
                self.messages[-1] = replace(last, forms=((key(text), last.chosen), *last.forms[1:]))
                return more

    def _take(self, step: Step, chat: str) -> None:
        match step:
            case Add(role, text):
                self._add(role, text, chat)
            case Edit(id, text):
                at = self._at(id)
                one = self.messages[at]
                self.messages[at] = replace(one, forms=((key(text), one.chosen), *one.forms[1:]))
            case Choose(id, index):
                at = self._at(id)
                one = self.messages[at]
                chosen = next(form for form in one.forms if form[1] == index)
                others = [form for form in one.forms if form != chosen]
                self.messages[at] = replace(one, forms=(chosen, *others), chosen=index)
            case Drop(id):
                del self.messages[self._at(id) :]
            case Greet():
                raise AssertionError("there are no greetings here")

    def _at(self, id: str) -> int:
        return next(at for at, one in enumerate(self.messages) if one.id == id)

    def _add(self, role: Role, text: str, chat: str) -> None:
        self.ids += 1
        reply = role is A and bool(self.messages) and self.messages[-1].role is U
        self.messages.append(Kept(f"m{self.ids}", role, ((key(text), 0),), 0, chat, reply))

    def _text(self) -> str:
        self.replies += 1
        return f"reply{self.replies}"

    def _reply(self, chat: str) -> str:
        text = self._text()
        self._add(A, text, chat)
        return text


class Client:
    """A chat window: what a person does in it between calls."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.lines: list[Said] = []
        self.swipes: dict[int, list[str]] = {}

    def say(self, text: str) -> None:
        self.lines.append(Said(U, text))
        self.lines.append(Said(A, self.store.call(self.lines)))

    def swipe(self) -> None:
        text = self.store.call(self.lines[:-1])
        self.swipes.setdefault(len(self.lines) - 1, [self.lines[-1].text]).append(text)
        self.lines[-1] = Said(A, text)

    def swipe_back(self) -> None:
        versions = self.swipes.get(len(self.lines) - 1)
        if versions:
            self.lines[-1] = Said(A, versions[0])

    def go_on(self) -> None:
        self.lines[-1] = Said(A, self.lines[-1].text + self.store.call(self.lines))
        self.swipes.pop(len(self.lines) - 1, None)

    def edit(self, at: int, text: str) -> None:
        self.lines[at] = Said(self.lines[at].role, text)
        self.swipes.pop(at, None)

    def drop(self, exchanges: int) -> None:
        keep = max(4, len(self.lines) - 2 * exchanges)
        del self.lines[keep:]
        self.swipes = {at: versions for at, versions in self.swipes.items() if at < keep}


TEXTS = st.sampled_from(["hi", "ok", "yes", "and then?", "tell me more"])
DEEDS = st.one_of(
    st.tuples(st.just("say"), TEXTS),
    st.tuples(st.just("swipe"), TEXTS),
    st.tuples(st.just("back"), TEXTS),
    st.tuples(st.just("go on"), TEXTS),
    st.tuples(st.just("drop"), st.integers(1, 3)),
    st.tuples(st.just("edit"), st.integers(0, 30)),
)


@settings(max_examples=120, deadline=None)
@given(st.lists(DEEDS, max_size=14), st.integers(4, 40))
def test_whatever_a_client_does_what_is_stored_is_what_it_shows(
    deeds: list[tuple[str, str | int]], context: int
) -> None:
    """Edits of one message, swipes back and forth, going on, exchanges taken back, a context that cuts the front off.

    `context`: how many messages the client sends; an edit that it does not show cannot be known.
    """
    store = Store()
    client = Client(store)
    client.say("Hello there")
    client.say("Who are you?")
    for number, (deed, what) in enumerate(deeds):
        match deed, what:
            case "say", str(text):
                client.say(text)
            case "swipe", _:
                client.swipe()
            case "back", _:
                client.swipe_back()
            case "go on", _:
                client.go_on()
            case "drop", int(exchanges):
                client.drop(exchanges)
            case "edit", int(at):
                client.edit(at % len(client.lines), f"edited {number}")
        if deed in ("drop", "edit", "back"):
            client.say(f"then {number}")
        assert store.shown == [f"{one.role[0]}:{one.key}" for one in client.lines]
    whole = list(client.lines)
    client.lines = client.lines[-context:]  # the context is full: the front is not shown, and stays
    client.say("still there?")
    assert store.shown == [f"{one.role[0]}:{one.key}" for one in [*whole, *client.lines[-2:]]]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), TEXTS), max_size=16))
def test_chats_side_by_side_take_nothing_from_each_other(turns: list[tuple[int, str]]) -> None:
    """Three windows on one character: everything said in any of them is stored once, in the order it was said."""
    store = Store()
    clients = [Client(store) for _ in range(3)]
    expected: list[str] = []
    for number, (which, text) in enumerate(turns):
        clients[which].say(f"{text} {number}" if not clients[which].lines else text)
        expected += [f"{one.role[0]}:{one.key}" for one in clients[which].lines[-2:]]
    assert store.shown == expected
