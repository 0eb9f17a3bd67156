"""The rules by which a client's history changes what is stored. Pure: stored + sent → plan. docs/clients.md explains.

Memory is one per person and character, whatever clients and chats there are, and a client shows a part of it: the
newest messages that fit its context, one chat of several, a branch. So what it leaves out is not thereby taken back:

    the client shows                                     what happens
    the end of what is stored, then a new message        it is said
    … and the last question again                        its reply is made again: a swipe
    … and ends in a reply                                the reply goes on
    a message with another text between known ones       an edit
    the last exchange with other texts                   an edit
    another version of a reply                           that one is chosen
    messages after the end that nobody here has seen     they are stored, then what follows
    less at its front                                    nothing: its context is full
    a message between known ones that is not stored      nothing: an injection of the client's, which moves
    not a message that is stored between known ones      nothing: hiding is not forgetting
    an end before ours, in the same chat                 what came after is deleted, up to `DROP_MOST` messages
    an end before ours, else                             nothing: a branch, another chat, or another client spoke since
    nothing that is stored                               another chat: stored behind the rest

*In the same chat*: the client shows, word for word and right before that place, a reply that was given in one of its
chats, and everything after it was said in that chat too. An exchange on our own page, in Telegram or in another chat is
never deleted, or edited, by a client that does not know of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.chat.reconcile.align import Kept, Pair, Said, align, key
from server.memory.messages import Role

DROP_MOST = 8
"""Messages. A history that ends earlier is a branch: what came after it is kept."""
EDITS_BETWEEN, EDITS_AT_END = 4, 2
"""Messages in a row that may have other texts, between known ones and at an open end."""


@dataclass(frozen=True, slots=True)
class Greet:
    """The conversation begins with this one of the character's greetings."""

    index: int


@dataclass(frozen=True, slots=True)
class Choose:
    id: str
    index: int


@dataclass(frozen=True, slots=True)
class Edit:
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Drop:
    """Delete this message and all after it."""

    id: str


@dataclass(frozen=True, slots=True)
class Add:
    """Store a message that was said elsewhere."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Say:
    """The person's new message is to be answered."""

    text: str


@dataclass(frozen=True, slots=True)
class Again:
    """A reply is to be made again; where `id` is None, the last message has none yet. `whole`: it was complete."""

    id: str | None
    whole: bool = False


@dataclass(frozen=True, slots=True)
class GoOn:
    """The last reply is to go on."""


Step = Greet | Choose | Edit | Drop | Add


@dataclass(frozen=True, slots=True)
class Plan:
    """`steps` in order, then what is asked for; None: it has no place in what is stored, which stays as it is.

    `chat`: the client's chat it belongs to; None: a new one.
    """

    steps: tuple[Step, ...] = ()
    then: Say | Again | GoOn | None = None
    chat: str | None = None


def reconcile(kept: Sequence[Kept], sent: Sequence[Said], *, whole: bool, greetings: Sequence[str] = ()) -> Plan:
    """What `sent`, which has at least one message, asks for.

    Args:
        kept: the newest stored messages, oldest first; `whole`: they are all there are.
        greetings: the character's, for a conversation that has not begun.
    """
    sent = _joined(kept, sent)
    asked = sent[-1] if sent[-1].role is Role.USER else None
    shown = sent[:-1] if asked else sent
    if asked is not None and all(said.role is Role.ASSISTANT for said in shown):
        again = _repeated(kept, asked)  # the first call of a chat, once more
        if again is not None:
            return Plan((), again, kept[-1].chat)
    if not kept:
        return Plan(_begun(shown, greetings), _ask(asked))
    pairs = align(kept, shown)
    if not pairs:
        spoken = next((at for at, said in enumerate(shown) if said.role is Role.USER), len(shown))
        if asked is None and spoken == len(shown):
            return Plan()
        return Plan(_added(shown[spoken:]), _ask(asked))
    return _Joint(kept, shown, pairs, whole).plan(asked)


class _Joint:
    """Two histories that have messages in common."""

    def __init__(self, kept: Sequence[Kept], shown: Sequence[Said], pairs: Sequence[Pair], whole: bool) -> None:
        self._kept = kept
        self._shown = shown
        self._pairs = pairs
        self._whole = whole
        self._last = pairs[-1]
        self._run = _run(pairs)

    def plan(self, asked: Said | None) -> Plan:
        chat = self._kept[self._last.kept].chat
        steps = [*self._chosen(), *self._edited()]
        late, new = self._kept[self._last.kept + 1 :], self._shown[self._last.sent + 1 :]
        if late and new:
            changed = self._changed_end(late, new)
            if changed is not None:
                return Plan((*steps, *changed), _ask(asked), chat)
        if new:
            dropped = (Drop(late[0].id),) if late and self._one_chat(late) else ()
            return Plan((*steps, *dropped, *_added(new)), _ask(asked), chat)
        if not late:
            return Plan(tuple(steps), _ask(asked), chat)
        if asked is not None and late[0].chat == chat and _asks(late[0], asked):
            return self._asked_again(steps, late, asked, chat)
        if self._one_chat(late):
            return Plan((*steps, Drop(late[0].id)), _ask(asked), chat)
        return Plan(tuple(steps), Say(asked.text), chat) if asked is not None else Plan()

    def _asked_again(self, steps: Sequence[Step], late: Sequence[Kept], asked: Said, chat: str | None) -> Plan:
        """The client shows a question that is stored, and no reply to it."""
        replied = len(late) > 1 and late[1].role is Role.ASSISTANT
        again = Again(late[1].id, late[1].whole) if replied else Again(None)
        after = late[2:] if replied else late[1:]
        if not after:
            return Plan(tuple(steps), again, late[0].chat)
        if replied and self._one_chat(after):
            return Plan((*steps, Drop(after[0].id)), again, chat)
        return Plan(tuple(steps), Say(asked.text), chat)

    def _chosen(self) -> list[Step]:
        """Versions that the client shows, where what stands beside them is known too: a "Yes." alone may be any."""
        first = [Pair(-1, -1, 0)] if self._whole else []
        return [
            Choose(self._kept[pair.kept].id, pair.index)
            for at, pair in enumerate(self._pairs)
            if pair.index != self._kept[pair.kept].chosen
            and any(_beside(one, pair) for one in [*first, *self._pairs[max(0, at - 1) : at + 2]])
        ]

    def _edited(self) -> list[Step]:
        """Messages with other texts, before the last one that both have."""
        edits: list[Step] = []
        before = Pair(-1, -1, 0) if self._whole else self._pairs[0]
        for at, after in enumerate(self._pairs):
            late, new = self._kept[before.kept + 1 : after.kept], self._shown[before.sent + 1 : after.sent]
            chat = self._kept[after.kept].chat
            greeted = before.kept < 0 and late and late[0].role is Role.ASSISTANT and late[0].chat is None
            in_chat = all(one.chat == chat for one in (late[1:] if greeted else late))
            alike = 0 < len(late) <= EDITS_BETWEEN and _alike(late, new) and in_chat
            if alike and (self._replied(_run(self._pairs[:at])) or self._replied(_run(self._pairs[at:][::-1]))):
                edits += _edits(late, new)
            before = after
        return edits

    def _changed_end(self, late: Sequence[Kept], new: Sequence[Said]) -> list[Step] | None:
        """The edits that make the end of what is stored the client's; None where it is something else."""
        if len(late) > EDITS_AT_END or not _alike(late, new):
            return None
        chat = self._kept[self._last.kept].chat
        from_the_start = self._whole and (self._run[0].kept, self._run[0].sent) == (0, 0)
        from_the_start &= chat is not None and all(one.chat == chat for one in late)
        return _edits(late, new) if from_the_start or self._one_chat(late) else None

    def _replied(self, run: Sequence[Pair]) -> bool:
        """Whether a run of what both have holds a reply: two people may begin alike, and are not answered alike."""
        return any(self._kept[pair.kept].reply for pair in run)

    def _one_chat(self, late: Sequence[Kept]) -> bool:
        """Whether the client had all of `late` before it, and it is not too much to be taken back."""
        chat = self._kept[self._last.kept].chat
        if chat is None or len(late) > DROP_MOST or any(one.chat != chat for one in late):
            return False
        return self._replied([pair for pair in self._run if self._kept[pair.kept].chat == chat])


def _joined(kept: Sequence[Kept], sent: Sequence[Said]) -> list[Said]:
    """Replies in a row that are one stored reply, which a client had go on, become one again."""
    known = {form for one in kept if one.role is Role.ASSISTANT for form, _ in one.forms}
    joined: list[Said] = []
    for said in sent:
        if joined and said.role is Role.ASSISTANT is joined[-1].role:
            text = f"{joined[-1].text}\n{said.text}"
            if key(text) in known:
                joined[-1] = Said(Role.ASSISTANT, text)
                continue
        joined.append(said)
    return joined


def _repeated(kept: Sequence[Kept], asked: Said) -> Again | None:
    """The last question of all, asked once more."""
    if kept and _asks(kept[-1], asked):
        return Again(None)
    if len(kept) > 1 and kept[-1].role is Role.ASSISTANT and _asks(kept[-2], asked):
        return Again(kept[-1].id, kept[-1].whole)
    return None


def _asks(one: Kept, asked: Said) -> bool:
    return (one.role, one.forms[0][0]) == (Role.USER, asked.key)


def _begun(shown: Sequence[Said], greetings: Sequence[str]) -> tuple[Step, ...]:
    """A conversation that the client has had elsewhere, or only its greeting."""
    keys = [key(text) for text in greetings]
    if shown and shown[0].role is Role.ASSISTANT and shown[0].key in keys:
        return (Greet(keys.index(shown[0].key)), *_added(shown[1:]))
    return _added(shown)


def _ask(asked: Said | None) -> Say | GoOn:
    return GoOn() if asked is None else Say(asked.text)


def _added(said: Sequence[Said]) -> tuple[Step, ...]:
    return tuple(Add(one.role, one.text) for one in said if one.fits)


def _edits(kept: Sequence[Kept], shown: Sequence[Said]) -> list[Step]:
    return [Edit(one.id, said.text) for one, said in zip(kept, shown, strict=True) if said.fits]


def _alike(kept: Sequence[Kept], shown: Sequence[Said]) -> bool:
    return [one.role for one in kept] == [said.role for said in shown]


def _run(pairs: Sequence[Pair]) -> Sequence[Pair]:
    """The unbroken run that the last of `pairs` ends; they may also come from the last to the first."""
    start = max(0, len(pairs) - 1)
    while start and _beside(pairs[start - 1], pairs[start]):
        start -= 1
    return pairs[start:]


def _beside(one: Pair, other: Pair) -> bool:
    return abs(one.kept - other.kept) == 1 == abs(one.sent - other.sent)
