// The same recall a turn uses, asked by a person.

import { sentence } from "../api.js";
import { h, uid } from "../dom.js";
import { plural } from "../format.js";
import { icon } from "../icons.js";
import { loadInto, nothing } from "../panel.js";
import { spanList } from "./spans.js";

export class SearchPanel {
  /** @type {import("../chat/conversation.js").Conversation|null} */
  #conversation = null;
  #field;
  #found;
  #asked = 0;

  /** @param {import("../app.js").App} app */
  constructor(app) {
    this.app = app;
    const id = uid("recall");
    this.#field = h("input", { id, class: "input input--search", type: "search", dir: "auto", placeholder: "the week at the lake", autocomplete: "off", enterkeyhint: "search" });
    const form = h("form", { class: "stack", role: "search", novalidate: true }, h("label", { class: "label", for: id }, "What was said about"), h("div", { class: "search search--panel" }, icon("search"), this.#field, h("button", { type: "submit", class: "button button--small" }, "Search")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#ask();
    });
    this.#found = h("div", { role: "status", "aria-live": "polite" });
    this.el = h("div", { class: "panel" }, form, this.#found);
  }

  /** @param {import("../chat/conversation.js").Conversation} conversation */
  show(conversation) {
    if (conversation !== this.#conversation) {
      this.#conversation = conversation;
      this.#field.value = "";
      this.#found.replaceChildren();
    } else if (this.#field.value.trim()) {
      this.#ask();
    }
  }

  changed() {
    if (this.#found.childElementCount && this.#field.value.trim()) this.#ask();
  }

  #ask() {
    const conversation = this.#conversation;
    const wanted = this.#field.value.trim();
    if (!conversation || !wanted) {
      this.#field.focus();
      return;
    }
    const asked = (this.#asked += 1);
    void loadInto(this.#found, async () => {
      const { spans } = await this.app.api.search(conversation.id, wanted);
      if (asked !== this.#asked) return undefined;
      const count = spans.reduce((/** @type {number} */ sum, /** @type {import("../../types.js").Span} */ span) => sum + span.turns.length, 0);
      if (!count) return nothing("Nothing like that was found. What you said in the last few messages is not searched: it is still at hand.");
      return [h("p", { class: "panel__lead" }, `${plural(count, "line")} in ${plural(spans.length, "moment")}`), spanList(spans, conversation, this.app, () => this.#ask())];
    }, sentence);
  }
}
