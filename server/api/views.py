"""From the server's own objects to what goes over the wire."""

from collections.abc import Sequence

from server.api.html import Html
from server.api.picture_views import Pictures, picture_out
from server.api.schemas import (
    AcceptedOut,
    AlternativeOut,
    DoneOut,
    MessageOut,
    NoticeOut,
    PinOut,
    RecalledTurn,
    SpanOut,
    TurnErrorDetail,
    TurnErrorOut,
    TurnIds,
    TurnTimes,
    TurnTokens,
    Upsell,
    WindowMessage,
    WindowOut,
)
from server.chat.events import Accepted, Done, Failed
from server.memory.messages import Alternative, Message
from server.memory.views import MemorySpan, Pin, Window

_NONE: Pictures = {}


async def messages_out(messages: Sequence[Message], html: Html, pictures: Pictures = _NONE) -> list[MessageOut]:
    """`pictures`: how those that the messages show stand."""
    rendered = await html.render(one.text for message in messages for one in message.alternatives)
    return [_message(message, rendered, pictures) for message in messages]


async def message_out(message: Message, html: Html, pictures: Pictures = _NONE) -> MessageOut:
    return (await messages_out([message], html, pictures))[0]


def spans_out(spans: Sequence[MemorySpan]) -> list[SpanOut]:
    return [
        SpanOut(
            start_id=span.start_id,
            end_id=span.end_id,
            start=span.start,
            end=span.end,
            turns=[
                RecalledTurn(
                    message_id=turn.message_id,
                    role=turn.role.value,
                    speaker=turn.speaker,
                    text=turn.text,
                    created=turn.created,
                    score=round(turn.score, 4),
                )
                for turn in span.turns
            ],
        )
        for span in spans
    ]


async def accepted_out(event: Accepted, html: Html) -> AcceptedOut:
    return AcceptedOut(
        message=None if event.user is None else await message_out(event.user, html),
        reply_id=event.reply_id,
        replayed=event.replayed,
    )


async def done_out(event: Done, html: Html, pictures: Pictures = _NONE) -> DoneOut:
    said = event.reply.said
    return DoneOut(
        message=await message_out(event.reply, html, pictures),
        message_ids=TurnIds(user=event.user_id, reply=event.reply.id),
        model=said.model,
        tokens=TurnTokens(prompt=event.prompt_tokens, completion=event.completion_tokens),
        ms=TurnTimes(first_token=said.first_token_ms, total=said.total_ms),
        recalled=spans_out(event.recalled),
        summary_used=event.summary_used,
        replayed=event.replayed,
        notice=notice_out(said),
        upsell=upsell_out(said),
    )


def notice_out(said: Alternative) -> NoticeOut | None:
    notice = said.notice
    return None if notice is None else NoticeOut(kind=notice.kind, text=notice.text)


def upsell_out(said: Alternative) -> Upsell | None:
    """What would have had the reply that was declined; None where nothing would."""
    notice = said.notice
    if notice is None or notice.level is None or notice.plan is None:
        return None
    return Upsell(level=notice.level, plan=notice.plan)


async def failed_out(event: Failed, html: Html, pictures: Pictures = _NONE) -> TurnErrorOut:
    error = event.error
    details = dict(error.details) | ({"message_id": event.user_id} if event.user_id else {})
    return TurnErrorOut(
        error=TurnErrorDetail(code=error.code, message=error.message, details=details),
        message=None if event.reply is None else await message_out(event.reply, html, pictures),
    )


def window_out(window: Window) -> WindowOut:
    first, last = window.messages[0], window.messages[-1]
    return WindowOut(
        id=window.id,
        index=window.index,
        start=first.created,
        end=last.created,
        start_id=first.id,
        end_id=last.id,
        messages=[
            WindowMessage(id=one.id, role=one.role.value, text=one.text, created=one.created) for one in window.messages
        ],
        summary=window.summary,
        facts=list(window.facts),
        derived=window.derived.value,
    )


def pin_out(pin: Pin) -> PinOut:
    return PinOut(id=pin.id, text=pin.text, created=pin.created, message_id=pin.message_id)


def _message(message: Message, html: dict[str, str], pictures: Pictures) -> MessageOut:
    said = message.said
    return MessageOut(
        id=message.id,
        role=message.role.value,
        text=said.text,
        html=html[said.text],
        created=message.created,
        status=said.status.value,
        edited=message.edited,
        chosen=message.chosen,
        model=said.model,
        alternatives=[
            AlternativeOut(
                text=one.text,
                html=html[one.text],
                created=one.created,
                status=one.status.value,
                model=one.model,
                completion_tokens=one.completion_tokens,
                total_ms=one.total_ms,
                error=one.error,
                notice=notice_out(one),
                upsell=upsell_out(one),
                picture=picture_out(one.picture, pictures),
            )
            for one in message.alternatives
        ],
        error=said.error,
        notice=notice_out(said),
        upsell=upsell_out(said),
        picture=picture_out(said.picture, pictures),
        asks="picture" if message.extra.get("asks") == "picture" else None,
        event="gift" if message.extra.get("event") == "gift" else None,
    )
