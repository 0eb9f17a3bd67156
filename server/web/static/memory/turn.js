// "This turn": what the last reply was given from memory.

import { fill, h } from "../dom.js";
import { plural } from "../format.js";
import { nothing } from "../panel.js";
import { spanList } from "./spans.js";

export class TurnPanel {
  /** @type {import("../chat/conversation.js").Conversation|null} */
  #conversation = null;
  /** @type {string|null} */
  #reply = null;

  /** @param {import("../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.el = h("div", { class: "panel" });
  }

  /** @param {string|null} replyId  null: the newest of this visit */
  choose(replyId) {
    this.#reply = replyId;
  }

  /** @param {import("../chat/conversation.js").Conversation} conversation */
  show(conversation) {
    this.#conversation = conversation;
    this.changed();
  }

  changed() {
    const conversation = this.#conversation;
    if (!conversation) return;
    const done = this.#reply ? conversation.turns.get(this.#reply) : [...conversation.turns.values()].at(-1);
    if (!done) {
      fill(this.el, nothing(`When you write, this shows which moments ${conversation.character.name} was reminded of, and from when.`));
      return;
    }
    const count = done.recalled.reduce((sum, span) => sum + span.turns.length, 0);
    const parts = [count ? `${plural(count, "line")} from earlier` : "nothing from earlier", done.summary_used ? "the summary" : ""].filter(Boolean);
    fill(
      this.el,
      h("p", { class: "panel__lead" }, count || done.summary_used ? `For the last reply, ${conversation.character.name} was given ${parts.join(" and ")}.` : `The last reply needed nothing from earlier: what you said lately was still at hand.`),
      spanList(done.recalled, conversation, this.app, () => this.changed()),
    );
  }
}
