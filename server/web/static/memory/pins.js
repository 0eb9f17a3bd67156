// Pins: what is always remembered.

import { confirmDialog, textDialog } from "../dialog.js";
import { fill, h, uid } from "../dom.js";
import { exactly, onDay } from "../format.js";
import { icon } from "../icons.js";
import { attempt, toast } from "../toast.js";
import { nothing } from "../panel.js";

export class PinsPanel {
  /** @type {import("../chat/conversation.js").Conversation|null} */
  #conversation = null;
  #list;
  #area;

  /** @param {import("../app.js").App} app */
  constructor(app) {
    this.app = app;
    const id = uid("pin");
    this.#area = h("textarea", { id, class: "input", rows: "2", dir: "auto", placeholder: "I am allergic to walnuts." });
    const form = h("form", { class: "stack", novalidate: true }, h("label", { class: "label", for: id }, "Remember this, always"), this.#area, h("p", { class: "row" }, h("button", { type: "submit", class: "button button--small" }, icon("pin"), "Pin it")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#add();
    });
    this.#list = h("div", null);
    this.el = h("div", { class: "panel" }, form, this.#list);
  }

  /** @param {import("../chat/conversation.js").Conversation} conversation */
  show(conversation) {
    this.#conversation = conversation;
    this.changed();
  }

  async #add() {
    const conversation = this.#conversation;
    const text = this.#area.value.trim();
    if (!conversation || !text) {
      this.#area.focus();
      return;
    }
    await attempt(async () => {
      await this.app.api.pin(conversation.id, { text });
      this.#area.value = "";
      await conversation.loadPins();
    });
  }

  changed() {
    const conversation = this.#conversation;
    if (!conversation) return;
    if (!conversation.pins.length) {
      fill(this.#list, nothing("Nothing is pinned. Pin a message, or write a line above: it becomes part of every reply."));
      return;
    }
    const tool = (/** @type {string} */ name, /** @type {string} */ label, /** @type {() => void} */ run) => h("button", { type: "button", class: "icon-button tool", "aria-label": label, title: label, onclick: run }, icon(name));
    fill(
      this.#list,
      h("ul", { class: "pins" }, conversation.pins.map((pin) =>
        h(
          "li",
          { class: "moment moment--pin" },
          h("p", { class: "moment__who" }, h("time", { datetime: pin.created, title: exactly(pin.created) }, onDay(pin.created)), pin.message_id ? "from the conversation" : "written by you"),
          h("p", { class: "moment__text", dir: "auto" }, pin.text),
          h(
            "div",
            { class: "moment__tools", role: "group", "aria-label": "Actions" },
            tool("edit", "Edit the pin", () => void textDialog({ title: "Edit the pin", label: "Always remember", value: pin.text, rows: 4, run: async (text) => { await this.app.api.editPin(conversation.id, pin.id, text); await conversation.loadPins(); } })),
            pin.message_id && tool("jump", "Show in the conversation", () => this.app.jumpTo(/** @type {string} */ (pin.message_id))),
            tool("trash", "Remove the pin", () => void confirmDialog({ title: "Remove this pin?", text: "What was said stays in the conversation; it is just not brought up every time.", confirm: "Remove", run: async () => { await this.app.api.unpin(conversation.id, pin.id); await conversation.loadPins(); toast("Removed."); } })),
          ),
        ),
      )),
    );
  }
}
