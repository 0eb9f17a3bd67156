// The messages of a conversation as this page has them: pages, what is newest, and replies still on their way. No DOM.

import { wasAborted } from "../api.js";
import { Emitter } from "../emitter.js";

const PAGE = 50;
const POLL_MS = [300, 600, 1_200, 2_000, 4_000];
const GIVE_UP_POLLS = 45; // three minutes: as long as a reply may take

/**
 * @typedef {import("../../types.js").Message} Message
 * @typedef {{messageId: string, text: string, base: string, kind: "reply"|"regenerate"|"continue"}} Live
 */

/** @param {string} id @returns {number} its place, or 0 for one that has none yet */
export const seqOf = (id) => Number(/^\d+-(\d+)$/.exec(id)?.[1] ?? 0);

/**
 * change: the list or a message changed. live: text came. end: a turn ended. said: when the last message was.
 * @extends {Emitter<{change: void, live: Live, end: {reply: Message|null, outcome: string}, problem: unknown, pins: void, said: string|null}>}
 */
export class History extends Emitter {
  /** @type {Message[]} */
  messages = [];
  more = false;
  /** Looking at an older part; the end of the list is not the end of the conversation. */
  detached = false;
  /** A pending reply that nobody seems to be writing any more. */
  stale = false;
  closed = false;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer;
  #polls = 0;
  /** What is not sent, while an older part is looked at. @type {Message[]} */
  #aside = [];

  /** @param {import("../api.js").Api} api @param {string} id  the character's */
  constructor(api, id) {
    super();
    this.api = api;
    this.id = id;
  }

  /** A turn of this page is being written. */
  get busy() {
    return false;
  }

  /** What the server does not have, or may not have. */
  get unsent() {
    return this.messages.filter((one) => one.status === "unsent" || one.status === "sending");
  }

  /** The last message that the server has. @returns {Message|null} */
  get last() {
    return this.messages.findLast((one) => one.status !== "unsent" && one.status !== "sending") ?? null;
  }

  /** Nothing was said yet: only a greeting, or not even that. */
  get fresh() {
    return this.messages.every((one) => one.id === "greeting");
  }

  close() {
    this.closed = true;
    clearTimeout(this.#timer);
  }

  /** Puts a message in the place of the one with `id`; never twice into the list. @param {string} id @param {Message} message */
  put(id, message) {
    const there = id !== message.id && this.messages.some((one) => one.id === message.id);
    if (there) this.drop(id);
    this.messages = this.messages.map((one) => (one.id === (there ? message.id : id) ? message : one));
  }

  /** @param {Message} message */
  add(message) {
    this.messages = [...this.messages, message];
  }

  /** @param {string} id */
  drop(id) {
    this.messages = this.messages.filter((one) => one.id !== id);
  }

  async loadNewest() {
    const page = await this.api.history(this.id, { limit: PAGE });
    this.messages = page.messages;
    this.more = page.more;
    this.detached = false;
    this.watchPending();
  }

  /** The newest page again, joined to what is loaded before it. */
  async refresh() {
    if (this.detached) return;
    const page = await this.api.history(this.id, { limit: PAGE });
    if (this.closed) return;
    const first = seqOf(page.messages[0]?.id ?? "");
    const sameEpoch = (/** @type {Message} */ one) => one.id.split("-")[0] === page.messages[0]?.id.split("-")[0];
    const before = this.messages.filter((one) => seqOf(one.id) > 0 && seqOf(one.id) < first && sameEpoch(one));
    this.messages = [...before, ...page.messages.map((/** @type {Message} */ one) => this.#keepText(one)), ...this.unsent];
    if (!before.length) this.more = page.more;
    this.watchPending();
    this.emit("change", undefined);
  }

  /** What this page saw of a reply stays in view until the server has stored it. @param {Message} fetched @returns {Message} */
  #keepText(fetched) {
    const shown = fetched.status === "pending" && !fetched.text ? this.messages.find((one) => one.id === fetched.id) : undefined;
    return shown?.text ? { ...fetched, text: shown.text } : fetched;
  }

  /** After a gap in the connection. */
  async catchUp() {
    if (this.busy || this.detached) return;
    try {
      await this.refresh();
    } catch (error) {
      if (!wasAborted(error)) this.emit("problem", error);
    }
  }

  // Paging ------------------------------------------------------------------------------------------------------

  async older() {
    const first = this.messages.find((one) => seqOf(one.id) > 0);
    if (!this.more || !first) return;
    const page = await this.api.history(this.id, { before: first.id, limit: PAGE });
    this.messages = [...page.messages, ...this.messages];
    this.more = page.more;
    this.emit("change", undefined);
  }

  async newer() {
    const last = this.last;
    if (!this.detached || !last) return;
    const [epoch] = last.id.split("-");
    const page = await this.api.history(this.id, { before: `${epoch}-${seqOf(last.id) + PAGE + 1}`, limit: PAGE });
    const fresh = page.messages.filter((/** @type {Message} */ one) => seqOf(one.id) > seqOf(last.id));
    if (!fresh.length) {
      await this.latest();
      return;
    }
    this.messages = [...this.messages, ...fresh];
    this.emit("change", undefined);
  }

  /** Makes a message part of the list, however old. @param {string} id */
  async reach(id) {
    if (this.messages.some((one) => one.id === id)) return;
    const [epoch] = id.split("-");
    const page = await this.api.history(this.id, { before: `${epoch}-${seqOf(id) + PAGE / 2}`, limit: PAGE });
    this.#aside = this.unsent;
    this.messages = page.messages;
    this.more = page.more;
    this.detached = true;
    this.emit("change", undefined);
  }

  async latest() {
    this.detached = false;
    this.messages = this.#aside;
    this.#aside = [];
    await this.refresh();
  }

  // Replies on their way -----------------------------------------------------------------------------------------

  /** A reply that another tab, or this one before a reload, set going: look until it is there. */
  watchPending() {
    clearTimeout(this.#timer);
    const pending = this.messages.some((one) => one.status === "pending");
    if (!pending || this.busy || this.detached || this.closed) {
      this.#polls = 0;
      this.stale = false;
      return;
    }
    if (this.#polls >= GIVE_UP_POLLS) {
      this.stale = true;
      return;
    }
    const wait = POLL_MS[Math.min(this.#polls, POLL_MS.length - 1)];
    this.#polls += 1;
    this.#timer = setTimeout(() => {
      this.refresh().catch(() => this.watchPending()); // unreachable for now: look again, less often
    }, wait);
  }

  stopWatching() {
    this.stale = false;
    clearTimeout(this.#timer);
  }
}
