// The rolling picture of the relationship, to read and to put right.

import { confirmDialog } from "../dialog.js";
import { autoGrow, fill, h, uid } from "../dom.js";
import { exactly, onDay, plural } from "../format.js";
import { messageNodes } from "../html.js";
import { sentence } from "../api.js";
import { attempt, toast } from "../toast.js";
import { loadInto, nothing } from "../panel.js";

export class SummaryPanel {
  /** @type {import("../chat/conversation.js").Conversation|null} */
  #conversation = null;

  /** @param {import("../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.el = h("div", { class: "panel" });
  }

  /** @param {import("../chat/conversation.js").Conversation} conversation */
  show(conversation) {
    this.#conversation = conversation;
    void loadInto(this.el, async () => {
      const summary = await this.app.api.summary(conversation.id);
      return conversation === this.#conversation ? this.#view(conversation, summary) : undefined;
    }, sentence);
  }

  /** @param {import("../chat/conversation.js").Conversation} conversation @param {import("../../types.js").Summary} summary */
  #view(conversation, summary) {
    const edit = () => this.#edit(conversation, summary);
    if (!summary.text) {
      return [
        nothing(this.app.me.model.bundled
          ? "The small model that comes with Vestige writes no summaries. You can write one yourself; it becomes part of every reply."
          : `There is no summary yet. One is written as you and ${conversation.character.name} talk; you can also write it yourself.`),
        !conversation.fresh && h("button", { type: "button", class: "button button--small", onclick: edit }, "Write a summary"),
      ];
    }
    const prose = h("div", { class: "prose prose--small", dir: "auto" });
    if (summary.html) prose.append(messageNodes(summary.html));
    else prose.append(h("p", { class: "live" }, summary.text));
    return [
      h("p", { class: "panel__lead" }, summary.by === "user" ? "Written by you" : `Written from ${plural(summary.windows ?? 0, "part")} of the conversation`, summary.updated && h("time", { datetime: summary.updated, title: exactly(summary.updated) }, ` · ${onDay(summary.updated)}`)),
      prose,
      h(
        "p",
        { class: "row" },
        h("button", { type: "button", class: "button button--small", onclick: edit }, "Edit"),
        h("button", {
          type: "button", class: "button button--small button--quiet",
          onclick: () => void confirmDialog({
            title: "Delete the summary?", text: "What was said stays. A new summary is written as you go on talking.", confirm: "Delete",
            run: async () => {
              await this.app.api.deleteSummary(conversation.id);
              this.show(conversation);
            },
          }),
        }, "Delete"),
      ),
    ];
  }

  /** @param {import("../chat/conversation.js").Conversation} conversation @param {import("../../types.js").Summary} summary */
  #edit(conversation, summary) {
    const id = uid("summary");
    const area = h("textarea", { id, class: "input", rows: "8", dir: "auto", value: summary.text ?? "" });
    const save = h("button", { type: "submit", class: "button button--primary button--small" }, "Save");
    const form = h(
      "form",
      { class: "stack", novalidate: true },
      h("label", { class: "label", for: id }, "Summary"),
      area,
      h("p", { class: "row" }, save, h("button", { type: "button", class: "button button--small button--quiet", onclick: () => this.show(conversation) }, "Cancel")),
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const text = area.value.trim();
      if (!text) {
        area.focus();
        return;
      }
      save.disabled = true;
      await attempt(async () => {
        await this.app.api.setSummary(conversation.id, text);
        toast("Saved.");
        this.show(conversation);
      });
      save.disabled = false;
    });
    fill(this.el, form);
    autoGrow(area);
    area.focus();
  }
}
