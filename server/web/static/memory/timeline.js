// The conversation as it is stored: windows of a few messages each, with what was noted about them.

import { sentence } from "../api.js";
import { textDialog } from "../dialog.js";
import { fill, h } from "../dom.js";
import { icon } from "../icons.js";
import { plural } from "../format.js";
import { loadInto, nothing } from "../panel.js";
import { spanHead, turnCard } from "./spans.js";
import { attempt } from "../toast.js";

/** @type {Record<string, string>} */
const DERIVED = { pending: "Notes are being written.", refused: "The model wrote no notes about this part." };

export class TimelinePanel {
  /** @type {import("../chat/conversation.js").Conversation|null} */
  #conversation = null;
  #list = h("ol", { class: "windows" });

  /** @param {import("../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.el = h("div", { class: "panel" });
  }

  /** @param {import("../chat/conversation.js").Conversation} conversation */
  show(conversation) {
    this.#conversation = conversation;
    void loadInto(this.el, async () => {
      const page = await this.app.api.windows(conversation.id, null);
      if (conversation !== this.#conversation) return undefined;
      if (!page.windows.length) return nothing("Nothing has moved to long-term memory yet: the whole conversation is still at hand.");
      this.#list = h("ol", { class: "windows" });
      const more = h("p", { class: "row" });
      this.#append(conversation, page, more);
      return [h("p", { class: "panel__lead" }, `${plural(page.total ?? page.windows.length, "part")}, newest first`), this.#list, more];
    }, sentence);
  }

  /** @param {import("../chat/conversation.js").Conversation} conversation @param {{windows: import("../../types.js").MemoryWindow[], more: boolean}} page @param {HTMLElement} more */
  #append(conversation, page, more) {
    this.#list.append(...page.windows.map((window) => this.#window(conversation, window)));
    const last = page.windows.at(-1);
    fill(more, page.more && last && h("button", {
      type: "button", class: "button button--small",
      onclick: () => void attempt(async () => this.#append(conversation, await this.app.api.windows(conversation.id, last.index), more)),
    }, "Earlier"));
  }

  /** @param {import("../chat/conversation.js").Conversation} conversation @param {import("../../types.js").MemoryWindow} window */
  #window(conversation, window) {
    const facts = h("div", null);
    const paintFacts = () =>
      fill(
        facts,
        window.facts.length > 0 && h("ul", { class: "facts" }, window.facts.map((fact) => h("li", { dir: "auto" }, fact))),
        h("button", {
          type: "button", class: "link",
          onclick: () => void textDialog({
            title: "What is noted about this part", label: "Notes, one on each line", value: window.facts.join("\n"), note: "They help to find this part again.", rows: 8,
            run: async (text) => {
              const lines = text.split("\n").map((one) => one.trim()).filter(Boolean);
              await this.app.api.setFacts(conversation.id, window.id, lines);
              window.facts = lines;
              paintFacts();
            },
          }),
        }, window.facts.length ? "Edit the notes" : "Add notes"),
      );
    paintFacts();
    const speaker = { user: this.app.me.user.name, assistant: conversation.character.name };
    return h(
      "li",
      { class: "window" },
      spanHead(window.start, window.end),
      window.summary
        ? h("p", { class: "window__summary", dir: "auto" }, window.summary)
        : h("p", { class: "window__glimpse", dir: "auto" }, (window.messages.find((one) => one.role === "user") ?? window.messages[0])?.text),
      DERIVED[window.derived] && h("p", { class: "hint" }, DERIVED[window.derived]),
      facts,
      h(
        "details",
        { class: "window__messages" },
        h("summary", null, plural(window.messages.length, "message"), icon("fold")),
        h("ul", { class: "span__turns" }, window.messages.map((message) => h("li", null, turnCard({ message_id: message.id, role: message.role, speaker: speaker[message.role], text: message.text, created: message.created }, conversation, this.app, () => this.show(conversation))))),
      ),
    );
  }
}
