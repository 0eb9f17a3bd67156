// Moments from memory: turns that belong together, with their day, who said them, and what can be done.

import { confirmDialog, textDialog } from "../dialog.js";
import { h } from "../dom.js";
import { ago, clock, exactly, onDay } from "../format.js";
import { icon } from "../icons.js";
import { attempt, toast } from "../toast.js";

/**
 * @param {import("../../types.js").Span[]} spans
 * @param {import("../chat/conversation.js").Conversation} conversation
 * @param {import("../app.js").App} app
 * @param {() => void} changed  after an edit or after forgetting
 */
export function spanList(spans, conversation, app, changed) {
  /** @type {Map<string, import("../../types.js").Span[]>} */
  const days = new Map();
  for (const span of spans) days.set(onDay(span.start), [...(days.get(onDay(span.start)) ?? []), span]);
  const turns = (/** @type {import("../../types.js").Span} */ span) =>
    h("ul", { class: "span__turns" }, span.turns.map((turn) => h("li", null, turnCard(turn, conversation, app, changed))));
  return h("ol", { class: "spans" }, [...days.values()].map((day) => h("li", { class: "span" }, spanHead(day[0].start), day.map(turns))));
}

/** The day of a moment; with its hours where `end` is given. @param {string} start @param {string} [end] */
export function spanHead(start, end) {
  return h(
    "p",
    { class: "span__head" },
    h("time", { datetime: start, title: exactly(start) }, onDay(start)),
    h("span", { class: "span__ago" }, end ? `${clock(start)}–${clock(end)}, ${ago(start)}` : ago(start)),
  );
}

/**
 * @param {{message_id: string, role: string, speaker: string, text: string, created: string}} turn
 * @param {import("../chat/conversation.js").Conversation} conversation
 * @param {import("../app.js").App} app
 * @param {() => void} changed
 */
export function turnCard(turn, conversation, app, changed) {
  const pinned = conversation.pinOf(turn.message_id) !== null;
  const tool = (/** @type {string} */ name, /** @type {string} */ label, /** @type {() => void} */ run, on = false) =>
    h("button", { type: "button", class: `icon-button tool${on ? " tool--on" : ""}`, "aria-label": label, title: label, "aria-pressed": name === "pin" ? String(on) : undefined, onclick: run }, icon(name));
  return h(
    "article",
    { class: `moment moment--${turn.role === "user" ? "mine" : "theirs"}`, "data-message": turn.message_id },
    h("p", { class: "moment__who" }, h("span", { dir: "auto" }, turn.speaker), h("time", { datetime: turn.created, title: exactly(turn.created) }, clock(turn.created))),
    h("p", { class: "moment__text", dir: "auto" }, turn.text),
    h(
      "div",
      { class: "moment__tools", role: "group", "aria-label": "Actions" },
      tool("pin", pinned ? "Unpin" : "Pin: always remember this", () => void attempt(async () => toast((await conversation.togglePin(turn.message_id)) ? "Pinned: this is always remembered." : "Unpinned.")), pinned),
      tool("edit", "Edit", () => void textDialog({
        title: "Edit what was said", label: "Message", value: turn.text, note: "The conversation and the memory of it both change.",
        run: async (text) => {
          await conversation.edit(/** @type {any} */ ({ id: turn.message_id }), text);
          turn.text = text;
          changed();
        },
      })),
      tool("jump", "Show in the conversation", () => app.jumpTo(turn.message_id)),
      tool("trash", "Forget", () => void confirmDialog({
        title: "Forget this?",
        text: `“${turn.text.length > 160 ? `${turn.text.slice(0, 160)}…` : turn.text}” will be gone for good: from the conversation, from what was derived from it, and from the pins.`,
        confirm: "Forget",
        run: async () => {
          await conversation.forget([turn.message_id]);
          changed();
          toast("Forgotten.");
        },
      })),
    ),
  );
}
