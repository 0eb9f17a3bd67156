// The memory beside the chat: what this turn recalled, and everything else that is kept.

import { h, uid } from "../dom.js";
import { icon } from "../icons.js";
import { DataPanel } from "./data.js";
import { PinsPanel } from "./pins.js";
import { SearchPanel } from "./search.js";
import { SummaryPanel } from "./summary.js";
import { TimelinePanel } from "./timeline.js";
import { TurnPanel } from "./turn.js";

/**
 * @typedef {object} Panel
 * @property {HTMLElement} el
 * @property {(conversation: import("../chat/conversation.js").Conversation) => void} show   another conversation, or shown anew
 * @property {() => void} [changed]   a turn ended, or pins changed
 */

export class Drawer {
  /** @type {import("../chat/conversation.js").Conversation|null} */
  #conversation = null;
  /** @type {(() => void)[]} */
  #listening = [];
  #current = "turn";
  #fresh = new Set();
  #body;
  #tabs;
  #title;

  /** @param {import("../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.turn = new TurnPanel(app);
    /** @type {{id: string, label: string, panel: Panel, tab: HTMLButtonElement}[]} */
    this.#tabs = [
      ["turn", "This turn", this.turn],
      ["summary", "Summary", new SummaryPanel(app)],
      ["pins", "Pins", new PinsPanel(app)],
      ["search", "Search", new SearchPanel(app)],
      ["timeline", "Timeline", new TimelinePanel(app)],
      ["data", "Data", new DataPanel(app)],
    ].map(([id, label, panel]) => this.#tab(/** @type {string} */ (id), /** @type {string} */ (label), /** @type {Panel} */ (panel)));
    this.#title = h("h2", { class: "drawer__title", id: uid("memory"), tabindex: "-1" }, "Memory");
    this.#body = h("div", { class: "drawer__body" }, this.#tabs.map(({ panel }) => panel.el));
    this.el = h(
      "aside",
      { class: "drawer", "aria-labelledby": this.#title.id, hidden: true },
      h("header", { class: "drawer__head" }, icon("spool"), this.#title, h("button", { type: "button", class: "icon-button", "aria-label": "Close the memory", title: "Close (Alt+M)", onclick: () => app.setMemory(false) }, icon("close"))),
      h("div", { class: "tabs", role: "tablist", "aria-label": "Memory", onkeydown: (/** @type {KeyboardEvent} */ event) => this.#arrow(event) }, this.#tabs.map(({ tab }) => tab)),
      this.#body,
    );
    this.#select("turn");
  }

  /** @param {string} id @param {string} label @param {Panel} panel */
  #tab(id, label, panel) {
    const tab = h("button", { type: "button", class: "tab", role: "tab", id: uid("tab"), onclick: () => this.#select(id) }, label);
    panel.el.id = uid("panel");
    panel.el.setAttribute("role", "tabpanel");
    panel.el.setAttribute("aria-labelledby", tab.id);
    panel.el.setAttribute("tabindex", "-1");
    tab.setAttribute("aria-controls", panel.el.id);
    return { id, label, panel, tab };
  }

  /** @param {string} id */
  #select(id) {
    this.#current = id;
    for (const one of this.#tabs) {
      const here = one.id === id;
      one.tab.setAttribute("aria-selected", String(here));
      one.tab.tabIndex = here ? 0 : -1;
      one.panel.el.hidden = !here;
      if (here) one.tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    this.#body.scrollTop = 0;
    this.#load();
  }

  /** Panels ask the server only when somebody looks at them. */
  #load() {
    if (!this.#conversation || this.el.hidden || this.#fresh.has(this.#current)) return;
    this.#fresh.add(this.#current);
    this.#tabs.find((one) => one.id === this.#current)?.panel.show(this.#conversation);
  }

  /** @param {KeyboardEvent} event */
  #arrow(event) {
    const at = this.#tabs.findIndex((one) => one.id === this.#current);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: this.#tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = this.#tabs.at(to % this.#tabs.length);
    if (next) {
      this.#select(next.id);
      next.tab.focus();
    }
  }

  /** @param {import("../chat/conversation.js").Conversation} conversation */
  show(conversation) {
    for (const stop of this.#listening) stop();
    this.#conversation = conversation;
    this.#fresh.clear();
    this.#title.replaceChildren(`What ${conversation.character.name} remembers`);
    this.#listening = [
      conversation.on("end", ({ reply }) => {
        this.#fresh.clear();
        if (reply) this.turn.choose(reply.id);
        this.#load();
      }),
      conversation.on("pins", () => this.#tabs.find((one) => one.id === this.#current)?.panel.changed?.()),
    ];
    this.turn.choose(null);
    this.#load();
  }

  /** @param {boolean} over  it lies over the chat and takes the focus */
  opened(over) {
    this.#load();
    if (over) this.#title.focus();
  }

  /** What the turn of one reply recalled. @param {string} replyId */
  showTurn(replyId) {
    this.turn.choose(replyId);
    this.#fresh.delete("turn");
    this.#select("turn");
  }
}
