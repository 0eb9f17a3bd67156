// One message: who, when, what, how it stands, and what can be done with it.

import { avatar } from "../characters/avatar.js";
import { announce, autoGrow, copyText, fill, h, uid } from "../dom.js";
import { clock, duration, exactly, plural } from "../format.js";
import { messageNodes } from "../html.js";
import { icon } from "../icons.js";
import { menuButton } from "../menu.js";
import { attempt, toast } from "../toast.js";
import { LiveText } from "./live.js";
import { policyNote } from "./notice.js";
import { MessagePicture } from "./picture.js";

/**
 * @typedef {import("../../types.js").Message} Message
 * @typedef {{last: boolean, live: import("./history.js").Live|null, busy: boolean, pinned: boolean, stale: boolean,
 *   problem: string|undefined, done: import("../../types.js").Done|undefined, versions: number, worn: string|null,
 *   answersPicture: boolean}} Context
 * @typedef {object} Actions
 * @property {(message: Message) => void} regenerate
 * @property {(message: Message) => void} continue
 * @property {(message: Message, step: 1|-1) => void} swipe
 * @property {(message: Message, text: string) => Promise<void>} edit
 * @property {(message: Message, text: string) => Promise<void>} editAndAskAgain
 * @property {(message: Message) => void} remove
 * @property {(message: Message) => void} pin
 * @property {(message: Message) => void} resend
 * @property {(message: Message) => void} discard
 * @property {(message: Message) => void} recalled
 * @property {(message: Message) => void} pictureAgain
 * @property {(job: string) => void} cancelPicture
 * @property {(item: string) => void} wear
 * @property {(key: string) => void} pictureEnded
 */

export class MessageView {
  #head;
  #body;
  #note;
  #tools;
  /** @type {LiveText|null} */
  #live = null;
  /** @type {MessagePicture|null} */
  #picture = null;
  #pictured = "";
  /** @type {HTMLElement|null} */
  #editor = null;
  #painted = "";
  /** @type {Context} */
  #context = { last: false, live: null, busy: false, pinned: false, stale: false, problem: undefined, done: undefined, versions: 1, worn: null, answersPicture: false };

  /**
   * @param {Message} message
   * @param {{character: import("../../types.js").Character, userName: string, actions: Actions, jobs: import("../pictures/jobs.js").Jobs}} surroundings
   */
  constructor(message, { character, userName, actions, jobs }) {
    this.message = message;
    this.jobs = jobs;
    this.actions = actions;
    this.mine = message.role === "user";
    this.name = this.mine ? userName : character.name;
    this.#head = h("header", { class: "msg__head" });
    this.#body = h("div", { class: "msg__body prose", dir: "auto" });
    this.#note = h("div", { class: "msg__note" });
    this.#tools = h("footer", { class: "msg__tools" });
    this.el = h(
      "article",
      { class: `msg msg--${message.event ? "event" : this.mine ? "mine" : "theirs"}`, tabindex: "-1" },
      !this.mine && avatar(character, "small"),
      h("div", { class: "msg__main" }, this.#head, this.#body, this.#note, this.#tools),
    );
  }

  /** @param {Message} message @param {Context} context */
  update(message, context) {
    this.message = message;
    this.#context = context;
    this.el.dataset.id = message.id;
    this.el.dataset.status = message.status;
    this.el.classList.toggle("msg--last", context.last);
    this.el.classList.toggle("msg--live", context.live !== null);
    this.el.classList.toggle("msg--safety", message.notice?.kind === "safety" && !message.notice.text && !context.live);
    this.el.setAttribute("aria-label", `${this.name}, ${exactly(message.created)}`);
    const key = JSON.stringify([message.text, message.html.length, message.status, message.chosen, message.notice, message.upsell, message.alternatives?.length, message.edited, context.last, context.live !== null, context.busy, context.pinned, context.stale, context.problem, context.done?.ms.total, context.done?.recalled.length, context.versions, message.picture, context.worn, context.answersPicture]);
    if (key === this.#painted) return;
    this.#painted = key;
    this.#paintHead();
    this.#paintBody();
    this.#paintNote();
    this.#paintTools();
  }

  #paintHead() {
    const { message } = this;
    fill(
      this.#head,
      h("span", { class: "msg__who", dir: "auto" }, this.name),
      h("time", { class: "msg__time", datetime: message.created, title: exactly(message.created) }, clock(message.created)),
      message.edited && h("span", { class: "msg__mark", title: `Edited ${exactly(message.edited)}` }, "edited"),
      this.#context.pinned && h("span", { class: "msg__mark msg__mark--pin", title: "Pinned: it is always remembered" }, icon("pin"), h("span", { class: "sr-only" }, "pinned")),
    );
  }

  #paintBody() {
    if (this.#editor) return;
    const { message } = this;
    const { live } = this.#context;
    if (live) {
      if (!this.#live) {
        fill(this.#body);
        this.#live = new LiveText(this.#body);
      }
      this.showLive(live);
      return;
    }
    this.#live?.stop();
    this.#live = null;
    if (message.picture) {
      this.#paintPicture(message.picture);
      return;
    }
    this.#picture?.close();
    this.#picture = null;
    if (message.html) {
      fill(this.#body, messageNodes(message.html));
    } else {
      fill(this.#body);
      const text = new LiveText(this.#body);
      text.set(message.text);
      text.flush();
    }
    if (message.status === "pending" && !message.text && !this.#context.stale) fill(this.#body, sewing(this.name));
    this.#body.hidden = !this.#body.hasChildNodes();
  }

  /** @param {import("../../types.js").Picture} picture */
  #paintPicture(picture) {
    const { message, actions } = this;
    const shown = `${picture.key} ${message.text}`;
    if (!this.#picture || this.#pictured !== shown) {
      this.#picture?.close();
      this.#pictured = shown;
      this.#picture = new MessagePicture({
        jobs: this.jobs, name: this.name, caption: message.text,
        actions: { again: () => actions.pictureAgain(this.message), cancel: actions.cancelPicture, wear: actions.wear, ended: actions.pictureEnded },
      });
    }
    if (this.#body.firstChild !== this.#picture.el) fill(this.#body, this.#picture.el);
    this.#body.hidden = false;
    this.#picture.update(picture, this.#context);
  }

  /** Out of view for good: whatever it listens to is left. */
  close() {
    this.#live?.stop();
    this.#picture?.close();
  }

  /** @param {import("./history.js").Live} live */
  showLive(live) {
    if (!this.#live) return;
    this.#body.hidden = false;
    const text = live.base + live.text;
    if (text) this.#live.set(text);
    else if (!this.#body.querySelector(".sewing")) fill(this.#body, sewing(this.name));
  }

  #paintNote() {
    const { message, actions } = this;
    const { problem, stale, live, last, busy } = this.#context;
    const retry = (/** @type {string} */ label) => last && !busy && h("button", { type: "button", class: "link", onclick: () => this.#anew() }, label);
    /** @type {unknown[]} */
    let note = [];
    if (live) note = [];
    else if (message.status === "unsent") {
      note = [
        h("p", { class: "msg__problem", role: "alert" }, icon("warn"), h("span", null, h("strong", null, "Not sent. "), message.problem ?? "")),
        h("p", { class: "msg__ways" }, h("button", { type: "button", class: "button button--small", disabled: busy, onclick: () => actions.resend(message) }, "Try again"), h("button", { type: "button", class: "link", onclick: () => actions.discard(message) }, "Take it back")),
      ];
    } else if (message.status === "failed") {
      note = [h("p", { class: "msg__problem", role: "alert" }, icon("warn"), h("span", null, problem ?? reason(message.error))), h("p", { class: "msg__ways" }, retry("Try again"))];
    } else if (message.status === "interrupted") {
      note = [h("p", { class: "msg__ways" }, h("span", { class: "msg__cut" }, problem ?? "Broken off here."), last && !busy && h("button", { type: "button", class: "link", onclick: () => actions.continue(message) }, "Go on"), retry("Try again"))];
    } else if (message.status === "pending" && stale) {
      note = [h("p", { class: "msg__ways" }, h("span", { class: "msg__cut" }, "This reply was never finished."), retry("Try again"))];
    }
    fill(this.#note, live ? [] : policyNote(message, this.name), note);
  }

  /** Another version: of the picture where this is one, else of the words. */
  #anew() {
    const { message, actions } = this;
    if (message.picture || this.#context.answersPicture) actions.pictureAgain(message);
    else actions.regenerate(message);
  }

  #paintTools() {
    const { message, actions } = this;
    const { last, busy, live, pinned, done, versions } = this.#context;
    const stored = /^\d+-\d+$/.test(message.id);
    fill(this.#tools);
    if (live || this.#editor || (!stored && message.id !== "greeting") || message.status === "pending") return;
    const nothing = message.status === "failed" && !message.text;
    const spoken = Boolean(message.picture || (message.notice && !message.notice.text)); // not by a model: there is nothing to go on with
    const tool = (/** @type {string} */ name, /** @type {string} */ label, /** @type {() => void} */ run, spare = false) =>
      h("button", { type: "button", class: `icon-button tool${spare ? " tool--spare" : ""}`, "aria-label": label, title: label, onclick: run }, icon(name));
    const chosen = message.chosen ?? 0;
    const canMake = last && stored;
    fill(
      this.#tools,
      !this.mine && versions > 1 && h(
        "div",
        { class: "versions", role: "group", "aria-label": "Versions" },
        h("button", { type: "button", class: "icon-button tool", "aria-label": "Previous version", title: "Previous version", disabled: busy || chosen === 0, onclick: () => actions.swipe(message, -1) }, icon("left")),
        h("span", { class: "versions__count", "aria-label": `Version ${chosen + 1} of ${versions}` }, `${chosen + 1}/${versions}`),
        h("button", { type: "button", class: "icon-button tool", "aria-label": chosen + 1 === versions && canMake ? "A new version" : "Next version", title: chosen + 1 === versions && canMake ? "A new version" : "Next version", disabled: busy || (chosen + 1 === versions && !canMake), onclick: () => actions.swipe(message, 1) }, icon("right")),
      ),
      !this.mine && canMake && !busy && !nothing && tool("again", "Another version", () => this.#anew()),
      !this.mine && canMake && !busy && message.status === "complete" && !spoken && tool("onward", "Continue this reply", () => actions.continue(message)),
      !nothing && tool("copy", "Copy", () => this.copy(), true),
      stored && !nothing && tool("edit", "Edit", () => this.edit(), true),
      stored && !nothing && tool("pin", pinned ? "Unpin" : "Pin: always remember this", () => actions.pin(message), true),
      menuButton({
        label: "More actions",
        class: "tool",
        items: () => [
          !nothing && { label: "Copy", icon: "copy", run: () => this.copy() },
          stored && !nothing && { label: "Edit", icon: "edit", run: () => this.edit() },
          stored && !nothing && { label: pinned ? "Unpin" : "Pin", icon: "pin", run: () => actions.pin(message) },
          canMake && !this.mine && !busy && { label: "Another version", icon: "again", run: () => this.#anew() },
          canMake && !this.mine && !busy && !spoken && { label: "Continue", icon: "onward", run: () => actions.continue(message) },
          stored && { label: "Delete from here on", icon: "trash", danger: true, run: () => actions.remove(message) },
        ],
      }),
      !this.mine && !nothing && !spoken && figures(message, done, () => actions.recalled(message)),
    );
  }

  async copy() {
    await attempt(async () => {
      await copyText(this.message.text);
      toast("Copied.");
    });
  }

  get editing() {
    return this.#editor !== null;
  }

  edit() {
    if (this.#editor) return;
    const { message, actions } = this;
    const id = uid("edit");
    const area = h("textarea", { id, class: "input msg__area", dir: "auto", value: message.text });
    const problem = h("p", { class: "problem", role: "alert", hidden: true });
    const close = () => {
      this.#editor?.remove();
      this.#editor = null;
      this.#painted = "";
      this.el.classList.remove("msg--editing");
      this.update(this.message, this.#context);
      this.el.focus({ preventScroll: true });
    };
    const save = async (/** @type {(message: Message, text: string) => Promise<void>} */ how) => {
      const text = area.value.trim();
      if (!text) {
        problem.textContent = "A message cannot be empty. To take it away, use “Delete from here on”.";
        problem.hidden = false;
        area.focus();
        return;
      }
      const saved = await attempt(async () => {
        if (text !== message.text || how !== actions.edit) await how(message, text);
        return true;
      });
      if (saved) {
        close();
        announce("Saved.");
      }
    };
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.preventDefault();
        close();
      } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        void save(actions.edit);
      }
    });
    this.#editor = h(
      "div",
      { class: "msg__editor" },
      h("label", { class: "sr-only", for: id }, `Edit the message of ${this.name}`),
      area,
      problem,
      h(
        "p",
        { class: "row" },
        h("button", { type: "button", class: "button button--primary button--small", onclick: () => void save(actions.edit) }, "Save"),
        this.mine && h("button", { type: "button", class: "button button--small", onclick: () => void save(actions.editAndAskAgain) }, "Save and ask again"),
        h("button", { type: "button", class: "button button--small button--quiet", onclick: close }, "Cancel"),
      ),
    );
    this.#body.hidden = true;
    this.el.classList.add("msg--editing");
    this.#body.after(this.#editor);
    fill(this.#tools);
    autoGrow(area);
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }
}

/** Tokens, time and model of a turn. @param {Message} message @param {import("../../types.js").Done|undefined} done @param {() => void} showRecalled */
function figures(message, done, showRecalled) {
  const said = message.alternatives?.[message.chosen ?? 0];
  const total = done?.ms.total ?? said?.total_ms ?? null;
  const tokens = done?.tokens.completion ?? said?.completion_tokens ?? null;
  const model = done?.model ?? said?.model ?? null;
  const recalled = done?.recalled.reduce((sum, span) => sum + span.turns.length, 0) ?? 0;
  /** @type {[string, string][]} */
  const rows = [];
  if (model) rows.push(["Model", model]);
  if (done?.tokens.prompt != null) rows.push(["Prompt", plural(done.tokens.prompt, "token")]);
  if (tokens != null) rows.push(["Reply", plural(tokens, "token")]);
  if (done?.ms.first_token != null) rows.push(["First word after", duration(done.ms.first_token)]);
  if (total != null) rows.push(["Whole reply after", duration(total)]);
  if (done) rows.push(["Summary", done.summary_used ? "part of the prompt" : "none yet"]);
  return [
    recalled > 0 && h("button", { type: "button", class: "recall-chip", title: "What this reply was given from memory", onclick: showRecalled }, icon("spool"), plural(recalled, "memory").replace("memorys", "memories")),
    rows.length > 0 && h(
      "details",
      { class: "figures" },
      h("summary", { title: "About this reply" }, [total != null && duration(total), tokens != null && plural(tokens, "token")].filter(Boolean).join(" · ") || "Details"),
      h("dl", { class: "figures__list" }, rows.map(([what, value]) => h("div", null, h("dt", null, what), h("dd", null, value)))),
    ),
  ];
}

/** Three stitches, sewn one after the other. @param {string} name */
function sewing(name) {
  return h("p", { class: "sewing" }, h("span", { class: "sr-only" }, `${name} is writing`), h("i", { "aria-hidden": "true" }), h("i", { "aria-hidden": "true" }), h("i", { "aria-hidden": "true" }));
}

/** @type {Record<string, string>} */
const REASONS = {
  model_unavailable: "The language model could not be reached.",
  model_timeout: "The language model took too long.",
  model_refused: "The language model gave no answer to this.",
  model_misconfigured: "The language model refused the server's request: its key, credit or settings need a look.",
  budget_exceeded: "A spending limit for today was reached.",
  generation_disabled: "Replies were switched off because spending could not be recorded.",
  policy_unavailable: "Your message could not be checked against the content policy, so nobody answered it.",
  shutting_down: "The server was stopped before it could answer.",
  host_unavailable: "No picture host has answered yet, so no picture could be begun.",
  graph_rejected: "No picture host can render this: a model or a node is missing there.",
  render_error: "The picture host did not give a picture.",
  too_many_waiting: "You have many pictures in line already.",
  not_found: "What the picture is to show is not there any more, or this character has no look yet.",
  not_visual: "This item cannot be seen on a picture.",
};

/** @param {string|null|undefined} code */
const reason = (code) => REASONS[code ?? ""] ?? "No reply came.";
