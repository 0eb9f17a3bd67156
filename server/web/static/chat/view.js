// The conversation on screen: header, messages, what is being written, and the box to write in.

import { avatar } from "../characters/avatar.js";
import { announce, fill, h, settle } from "../dom.js";
import { confirmDialog } from "../dialog.js";
import { dayName, daysBetween, exactly, later } from "../format.js";
import { icon } from "../icons.js";
import { format } from "../router.js";
import { session } from "../storage.js";
import { attempt, toast, toastError } from "../toast.js";
import { parseCommand, meant } from "./commands.js";
import { Composer } from "./composer.js";
import { chatMenu } from "./header.js";
import { MessageView } from "./message.js";
import { Scroller } from "./scroll.js";

export class ChatView {
  /** @type {import("./conversation.js").Conversation|null} */
  #conversation = null;
  /** @type {Map<string, MessageView>} */
  #views = new Map();
  /** @type {(() => void)[]} */
  #listening = [];
  #loading = false;
  #head;
  #list;
  #log;
  #top;
  #bottom;
  #jump;
  #banner;
  #memoryButton;
  #shopLink;

  /** @param {import("../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.composer = new Composer({
      limit: app.me.limits.message_bytes,
      discloses: app.me.disclose_ai,
      send: (text) => void attempt(async () => this.#send(text)),
      stop: () => this.#conversation?.stop(),
      picture: (scene) => void attempt(async () => this.#send(`/picture ${scene}`)),
      editLast: () => this.#editLast(),
    });
    this.#head = h("div", { class: "chat__who" });
    this.#memoryButton = h("button", { type: "button", class: "icon-button chat__memory", "aria-label": "Memory", title: "Memory (Alt+M)", "aria-expanded": "false", onclick: () => app.toggleMemory() }, icon("spool"));
    this.#shopLink = h("a", { class: "icon-button", "aria-label": "What to wear", title: "What to wear" }, icon("hanger"));
    this.#top = h("div", { class: "log__top" });
    this.#list = h("div", { class: "log__list", role: "log", "aria-live": "off", "aria-label": "Messages" });
    this.#bottom = h("div", { class: "log__bottom" });
    const content = h("div", { class: "log__content" }, this.#top, this.#list, this.#bottom);
    this.#log = h("div", { class: "log", tabindex: "-1" }, content);
    this.#jump = h("button", { type: "button", class: "jump", hidden: true, onclick: () => this.#toLatest() }, icon("down"), "Jump to the latest");
    this.#banner = h("div", { class: "banner", role: "note", hidden: true });
    this.el = h(
      "section",
      { class: "chat", "aria-label": "Conversation" },
      h("header", { class: "chat__head" }, h("a", { class: "icon-button only-narrow", href: "#/", "aria-label": "Back to the characters" }, icon("back")), this.#head, this.#shopLink, this.#memoryButton, chatMenu(this)),
      this.#banner,
      h("div", { class: "chat__stage" }, this.#log, this.#jump),
      this.composer.el,
    );
    this.scroller = new Scroller(this.#log, content, (atEnd) => this.#showJump(atEnd));
    new IntersectionObserver((entries) => entries.at(-1)?.isIntersecting && void this.#older(), { root: this.#log, rootMargin: "600px 0px 0px" }).observe(this.#top);
    new IntersectionObserver((entries) => entries.at(-1)?.isIntersecting && void this.#newer(), { root: this.#log, rootMargin: "0px 0px 400px" }).observe(this.#bottom);
    this.#showBanner();
  }

  get conversation() {
    return this.#conversation;
  }

  /** @param {import("./conversation.js").Conversation} conversation */
  show(conversation) {
    for (const stop of this.#listening) stop();
    this.#conversation = conversation;
    this.close();
    this.#views.clear();
    fill(this.#list);
    const { character } = conversation;
    this.el.dataset.character = conversation.id;
    this.#shopLink.href = format({ view: "shop", id: conversation.id });
    fill(this.#head, avatar(character, "medium"), h("div", { class: "chat__names" }, h("h1", { class: "chat__name", dir: "auto" }, character.name), character.tags.length > 0 && h("p", { class: "chat__line", dir: "auto" }, character.tags.join(" · "))));
    this.composer.show(`${conversation.me.user.id}.${conversation.id}`, character.name);
    this.#listening = [
      conversation.on("change", () => this.render()),
      conversation.on("pins", () => this.render()),
      conversation.on("live", (live) => this.#views.get(live.messageId)?.showLive(live)),
      conversation.on("problem", (error) => toastError(error)),
      conversation.on("end", ({ reply }) => reply && announce(`${character.name}: ${plainText(reply.text)}`)),
    ];
    this.render();
    this.scroller.toEnd();
  }

  /** Off the screen: nothing is listened to. */
  close() {
    for (const view of this.#views.values()) view.close();
  }

  render() {
    const conversation = this.#conversation;
    if (!conversation) return;
    this.composer.setBusy(conversation.busy);

    const wanted = conversation.messages.flatMap((message, at) => {
      const divider = this.#divider(conversation.messages[at - 1], message, at === 0 && !conversation.more);
      return divider ? [divider, this.#view(conversation, message).el] : [this.#view(conversation, message).el];
    });
    const known = new Set(conversation.messages.map((one) => one.id));
    for (const [id, view] of this.#views) {
      if (known.has(id)) continue;
      view.close();
      this.#views.delete(id);
    }
    settle(this.#list, wanted);
    fill(this.#top, conversation.more && h("p", { class: "hint log__more" }, "Earlier messages"), !conversation.messages.length && this.#nothing(conversation));
    this.#showJump(this.scroller.atEnd);
  }

  /** @param {import("./conversation.js").Conversation} conversation @param {import("../../types.js").Message} message */
  #view(conversation, message) {
    let view = this.#views.get(message.id);
    if (!view) {
      view = new MessageView(message, { character: conversation.character, userName: this.app.me.user.name, actions: this.#actions(conversation), jobs: this.app.jobs });
      this.#views.set(message.id, view);
    }
    const greetings = message.id === "greeting" ? 1 + conversation.character.alternate_greetings.length : 0;
    view.update(message, {
      last: message === conversation.last && !conversation.detached,
      live: conversation.live?.messageId === message.id ? conversation.live : null,
      busy: conversation.busy,
      pinned: conversation.pinOf(message.id) !== null,
      stale: conversation.stale,
      problem: conversation.problems.get(message.id),
      done: conversation.turns.get(message.id),
      versions: Math.max(message.alternatives?.length ?? 1, greetings),
      worn: conversation.pictures.worn,
      answersPicture: conversation.pictures.answers(message),
    });
    return view;
  }

  /** @param {import("./conversation.js").Conversation} conversation @returns {import("./message.js").Actions} */
  #actions(conversation) {
    return {
      regenerate: (message) => void this.#follow(() => conversation.regenerate(message)),
      continue: (message) => void this.#follow(() => conversation.continue(message)),
      swipe: (message, step) => void attempt(() => conversation.swipe(message, step)),
      edit: (message, text) => conversation.edit(message, text),
      editAndAskAgain: async (message, text) => {
        if (message.asks || parseCommand(text)) { // what asks for a picture is asked anew, whatever came of it
          await conversation.deleteFrom(message);
          void attempt(async () => this.#send(text));
          return;
        }
        await conversation.edit(message, text);
        const at = conversation.messages.findIndex((one) => one.id === message.id);
        const after = conversation.messages.slice(at + 1);
        if (after.length === 1) {
          void this.#follow(() => conversation.regenerate(after[0]));
          return;
        }
        // More was said since: the answer belongs to a conversation that went another way.
        await conversation.deleteFrom(conversation.messages[at]);
        void this.#follow(() => conversation.send(text));
      },
      remove: (message) => void this.#remove(conversation, message),
      pin: (message) => void attempt(async () => toast((await conversation.togglePin(message.id)) ? "Pinned: this is always remembered." : "Unpinned.")),
      resend: (message) => void this.#follow(() => conversation.resend(message)),
      discard: (message) => conversation.discard(message),
      pictureAgain: (message) => void this.#follow(() => conversation.pictures.again(message)),
      cancelPicture: (job) => void attempt(async () => {
        const { state } = await this.app.api.cancelJob(job);
        if (state !== "cancelled") toast("Somebody else waits for this picture too, so it is made all the same.");
      }),
      pictureEnded: (key) => void attempt(() => conversation.pictures.look(key)),
      wear: (item) => void attempt(async () => toast(`${conversation.character.name} wears it from now on: ${await conversation.pictures.wear(item)}`)),
      recalled: (message) => {
        this.app.drawer.showTurn(message.id);
        this.app.setMemory(true);
      },
    };
  }

  /** @param {() => Promise<unknown>} run */
  async #follow(run) {
    this.scroller.toEnd();
    await attempt(run);
  }

  /** @param {string} text */
  async #send(text) {
    const conversation = this.#conversation;
    if (!conversation) return;
    this.scroller.toEnd();
    const command = parseCommand(text);
    const sent = command ? this.#command(conversation, command) : conversation.send(text);
    this.scroller.toEnd();
    await sent;
  }

  /** @param {import("./conversation.js").Conversation} conversation @param {import("./commands.js").Command} command */
  async #command(conversation, command) {
    if (command.command === "picture") return conversation.pictures.ask({ prompt: command.scene });
    const owned = await this.app.api.inventory();
    const item = command.title && meant(owned, command.title);
    if (item) return conversation.pictures.ask({ item_id: item.id, how: "wear" }, item.title);
    if (command.title) toast(`You own nothing, or more than one thing, called “${command.title}”. Here is what there is.`, { error: true });
    return this.app.router.go({ view: "shop", id: conversation.id });
  }

  /** @param {import("./conversation.js").Conversation} conversation @param {import("../../types.js").Message} message */
  async #remove(conversation, message) {
    const at = conversation.messages.findIndex((one) => one.id === message.id);
    const later = conversation.messages.length - at - 1;
    await confirmDialog({
      title: "Delete from here on?",
      text: later > 0 || conversation.detached ? "This message and everything said after it will be deleted, also from memory. This cannot be undone." : "This message will be deleted, also from memory. This cannot be undone.",
      confirm: "Delete",
      run: () => conversation.deleteFrom(message),
    });
  }

  // Keys ---------------------------------------------------------------------------------------------------------

  /** @returns {boolean} whether there is a box to write in */
  focusComposer() {
    if (!this.el.isConnected) return false;
    this.composer.focus();
    return true;
  }

  focusMemoryButton() {
    this.#memoryButton.focus();
  }

  #lastReply() {
    const last = this.#conversation?.last;
    return this.el.isConnected && last?.role === "assistant" && !this.#conversation?.busy ? last : null;
  }

  regenerateLast() {
    const last = this.#lastReply();
    const conversation = this.#conversation;
    if (!last || !conversation || last.id === "greeting") return;
    void this.#follow(() => (conversation.pictures.answers(last) || last.picture ? conversation.pictures.again(last) : conversation.regenerate(last)));
  }

  /** @param {1|-1} step */
  swipeLast(step) {
    const last = this.#lastReply();
    if (last) void attempt(async () => this.#conversation?.swipe(last, step));
  }

  #editLast() {
    const mine = this.#conversation?.messages.findLast((one) => one.role === "user" && /^\d/.test(one.id));
    if (!mine || this.#conversation?.busy) return false;
    this.#views.get(mine.id)?.edit();
    return true;
  }

  // Where one reads ------------------------------------------------------------------------------------------------

  async #older() {
    const conversation = this.#conversation;
    if (!conversation?.more || this.#loading) return;
    this.#loading = true;
    const anchor = this.#list.querySelector(".msg");
    const before = anchor?.getBoundingClientRect().top ?? 0;
    await attempt(() => conversation.older());
    this.#loading = false;
    if (anchor?.isConnected && !this.scroller.atEnd) this.#log.scrollTop += anchor.getBoundingClientRect().top - before;
    else if (this.scroller.atEnd) this.scroller.toEnd();
  }

  async #newer() {
    const conversation = this.#conversation;
    if (!conversation?.detached || this.#loading) return;
    this.#loading = true;
    await attempt(() => conversation.newer());
    this.#loading = false;
  }

  async #toLatest() {
    if (this.#conversation?.detached) await attempt(async () => this.#conversation?.latest());
    this.scroller.toEnd();
  }

  /** Shows a message that memory names. @param {string} id */
  async jumpTo(id) {
    const conversation = this.#conversation;
    if (!conversation) return;
    this.#loading = true;
    await attempt(() => conversation.reach(id));
    this.#loading = false;
    const view = this.#views.get(id);
    if (!view) {
      toast("This message is not there any more.", { error: true });
      return;
    }
    this.scroller.show(view.el);
    view.el.classList.remove("msg--found");
    void view.el.offsetWidth; // lets the mark play again
    view.el.classList.add("msg--found");
    view.el.focus({ preventScroll: true });
  }

  /** @param {boolean} atEnd */
  #showJump(atEnd) {
    this.#jump.hidden = atEnd && !this.#conversation?.detached;
  }

  /** @param {boolean} open */
  memoryOpened(open) {
    this.#memoryButton.setAttribute("aria-expanded", String(open));
  }

  // Furniture ------------------------------------------------------------------------------------------------------

  /** @param {import("../../types.js").Message|undefined} before @param {import("../../types.js").Message} message @param {boolean} first */
  #divider(before, message, first) {
    if (message.id === "greeting") return null;
    const days = before && before.id !== "greeting" ? daysBetween(before.created, message.created) : 0;
    if (!first && !days && before) return null;
    if (before && !days) return null;
    const gap = later(days);
    return h("p", { class: "day", title: exactly(message.created) }, h("span", null, dayName(message.created), gap && h("em", null, ` · ${gap}`)));
  }

  /** @param {import("./conversation.js").Conversation} conversation */
  #nothing(conversation) {
    return h("p", { class: "log__nothing" }, `This is the beginning of what you and ${conversation.character.name} will share. Say something.`);
  }

  #showBanner() {
    const { banner } = this.app.me.model;
    if (!banner || session.get("banner") === "closed") return;
    fill(
      this.#banner,
      h("p", { dir: "auto" }, banner),
      h("button", { type: "button", class: "icon-button", "aria-label": "Dismiss this note", onclick: () => { session.set("banner", "closed"); this.#banner.hidden = true; this.composer.focus(); } }, icon("close")),
    );
    this.#banner.hidden = false;
  }
}

/** @param {string} text */
const plainText = (text) => text.replace(/[*_`#>]+/g, "").slice(0, 4_000);

