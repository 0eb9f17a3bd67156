// A conversation with a character: turns, versions, changes and pins on top of its history. No DOM.

import { sentence, wasAborted } from "../api.js";
import { session } from "../storage.js";
import { History } from "./history.js";
import { newKey } from "./keys.js";
import { ConversationPictures } from "./pictures.js";
import { followTurn } from "./turn.js";

const SETTLE_MS = 1_200;

/**
 * @typedef {import("../../types.js").Message} Message
 * @typedef {import("./history.js").Live} Live
 */

export class Conversation extends History {
  /** @type {import("../../types.js").Character} */
  character;
  /** @type {import("../../types.js").Pin[]} */
  pins = [];
  /** What each turn of this visit recalled, by the reply's id. @type {Map<string, import("../../types.js").Done>} */
  turns = new Map();
  /** Why replies failed, as the server put it, by the reply's id; after a reload only the code is left. @type {Map<string, string>} */
  problems = new Map();
  /** @type {Live|null} */
  live = null;
  #known = false;
  /** @type {AbortController|null} */
  #turn = null;

  /** @param {import("../api.js").Api} api @param {string} id @param {import("../../types.js").Me} me */
  constructor(api, id, me) {
    super(api, id);
    this.me = me;
    this.character = /** @type {any} */ (null);
    this.pictures = new ConversationPictures(this);
  }

  get busy() {
    return this.#turn !== null || this.pictures.asking;
  }

  /** Settles once what there is was read. @type {Promise<void>} */
  opened = Promise.resolve();

  open() {
    this.opened = this.#open();
    return this.opened;
  }

  async #open() {
    const [character] = await Promise.all([this.api.character(this.id), this.#known && this.busy ? null : this.loadNewest()]);
    this.character = character;
    if (!this.#known) this.#recallUnsent();
    this.#known = true;
    this.emit("change", undefined);
    void this.loadPins();
    this.pictures.load().catch((error) => !wasAborted(error) && !this.closed && this.emit("problem", error));
  }

  close() {
    super.close();
    this.#turn?.abort();
  }

  // Turns -------------------------------------------------------------------------------------------------------

  /** @param {string} text */
  async send(text) {
    if (this.detached) await this.latest();
    const key = newKey();
    /** @type {Message} */
    const mine = { id: `local-${key}`, role: "user", text, html: "", created: new Date().toISOString(), status: "sending" };
    this.add(mine);
    await this.#deliver(mine);
  }

  /** What was not confirmed survives a reload, with its key. */
  #noteUnsent() {
    const kept = this.unsent.map(({ id, text, created, ask }) => ({ id, text, created, ask }));
    session.set(this.#unsentKey, kept.length ? JSON.stringify(kept) : null);
  }

  #recallUnsent() {
    /** @type {{id: string, text: string, created: string, ask?: import("./pictures.js").Ask}[]} */
    const kept = JSON.parse(session.get(this.#unsentKey) ?? "[]");
    for (const one of kept) {
      this.add({ ...one, role: "user", html: "", status: "unsent", problem: "The page was closed before it was known to have arrived." });
    }
  }

  get #unsentKey() {
    return `unsent.${this.me.user.id}.${this.id}`;
  }

  /** Tries a message again that may or may not have arrived: the same key makes the server tell. @param {Message} mine */
  async resend(mine) {
    if (this.busy) return;
    const again = { ...mine, status: /** @type {const} */ ("sending"), problem: undefined };
    this.put(mine.id, again);
    await (mine.ask ? this.pictures.deliver(again) : this.#deliver(again));
  }

  /** @param {Message} mine */
  discard(mine) {
    this.drop(mine.id);
    this.#noteUnsent();
    this.emit("change", undefined);
  }

  /** @param {Message} mine */
  async #deliver(mine) {
    const wasFresh = this.messages.some((one) => one.id === "greeting");
    this.#noteUnsent();
    let current = mine.id;
    const outcome = await this.#run(["chat"], { character_id: this.id, message: mine.text }, "reply", mine.id.slice("local-".length), (event) => {
      if (event.message) {
        this.put(mine.id, event.message);
        current = event.message.id;
        this.#noteUnsent();
        this.emit("said", event.message.created);
      }
      if (event.reply_id) this.#expectReply(event.reply_id, event.message?.created);
    });
    if (!outcome.accepted) {
      const problem = outcome.end === "stopped" ? "Stopped before it was sent." : sentence(outcome.error);
      const still = this.messages.find((one) => one.id === current);
      if (still) this.put(current, { ...still, status: "unsent", problem });
      this.emit("change", undefined);
    } else if (outcome.end !== "done" || wasFresh || current.startsWith("local-")) {
      if (current.startsWith("local-")) this.discard(mine);
      await this.catchUp();
    }
  }

  /** @param {Message} message */
  async regenerate(message) {
    await this.#again(message, "regenerate");
  }

  /** @param {Message} message */
  async continue(message) {
    await this.#again(message, "continue");
  }

  /** @param {Message} message @param {"regenerate"|"continue"} kind */
  async #again(message, kind) {
    if (this.busy) return;
    this.problems.delete(message.id);
    this.live = { messageId: message.id, text: "", base: kind === "continue" ? message.text : "", kind };
    const outcome = await this.#run(["chat", this.id, kind], { message_id: message.id }, kind, undefined, () => undefined);
    if (outcome.end === "error" && outcome.error) this.emit("problem", outcome.error);
    if (outcome.end === "done") return;
    await this.catchUp();
    // The server stores what came once it sees that nobody listens; a moment later it is there.
    setTimeout(() => void this.catchUp(), SETTLE_MS);
  }

  /**
   * @param {string[]} segments @param {object} body @param {Live["kind"]} kind @param {string|undefined} key
   * @param {(event: {message?: Message, reply_id?: string}) => void} accepted
   */
  async #run(segments, body, kind, key, accepted) {
    const control = new AbortController();
    this.#turn = control;
    this.stopWatching();
    this.emit("change", undefined);
    const outcome = await followTurn(
      this.api.turn(segments, body, { signal: control.signal, key }),
      {
        accepted: (event) => {
          accepted(event);
          this.emit("change", undefined);
        },
        token: (text) => {
          if (!this.live) return;
          this.live = { ...this.live, text: this.live.text + text };
          this.emit("live", this.live);
        },
      },
      control.signal,
    );
    const expected = this.live?.messageId;
    if (!outcome.done && this.live && kind === "reply") this.#keepLive(this.live);
    this.#turn = null;
    this.live = null;
    if (outcome.done) {
      this.turns.set(outcome.done.message.id, outcome.done);
      this.#putReply(expected, outcome.done.message);
      this.emit("said", outcome.done.message.created);
    } else if (outcome.message) {
      this.put(outcome.message.id, outcome.message);
      if (outcome.error && kind === "reply") this.problems.set(outcome.message.id, sentence(outcome.error));
    } else if (outcome.error && expected && kind === "reply") {
      this.problems.set(expected, sentence(outcome.error));
    }
    if (this.closed) return outcome;
    this.emit("change", undefined);
    this.emit("end", { reply: outcome.done?.message ?? null, outcome: outcome.end });
    return outcome;
  }

  /** What came before the turn broke off stays in view until the server's copy is there. @param {Live} live */
  #keepLive({ messageId, text }) {
    const shown = this.messages.find((one) => one.id === messageId);
    if (shown) this.put(messageId, { ...shown, text, html: "" });
  }

  stop() {
    this.#turn?.abort();
  }

  /** The place where the reply will be. @param {string} id @param {string} [at] */
  #expectReply(id, at) {
    this.live = { messageId: id, text: "", base: "", kind: "reply" };
    if (this.detached || this.messages.some((one) => one.id === id)) return;
    this.add({ id, role: "assistant", text: "", html: "", created: at ?? new Date().toISOString(), status: "pending" });
  }

  /** @param {string|undefined} expected @param {Message} reply */
  #putReply(expected, reply) {
    if (expected && expected !== reply.id) this.drop(expected);
    if (this.messages.some((one) => one.id === reply.id)) this.put(reply.id, reply);
    else if (!this.detached) this.add(reply);
  }

  // Changing what was said --------------------------------------------------------------------------------------

  /** @param {Message} message @param {1|-1} step */
  async swipe(message, step) {
    const count = message.alternatives?.length ?? 1;
    const to = (message.chosen ?? 0) + step;
    if (this.busy || to < 0) return;
    if (to >= count) {
      if (message !== this.last || message.id === "greeting") return;
      await (message.picture || this.pictures.answers(message) ? this.pictures.again(message) : this.regenerate(message));
      return;
    }
    const next = message.id === "greeting" ? await this.api.chooseGreeting(this.id, to) : await this.api.swipe(this.id, message.id, to);
    this.put(message.id, next);
    this.emit("change", undefined);
  }

  /** @param {Message} message @param {string} text */
  async edit(message, text) {
    const next = await this.api.editMessage(this.id, message.id, text);
    this.put(message.id, next);
    this.emit("change", undefined);
  }

  /** @param {Message} message @returns {Promise<number>} how many went */
  async deleteFrom(message) {
    const { deleted } = await this.api.deleteFrom(this.id, message.id);
    if (this.detached) await this.latest();
    else await this.refresh();
    this.emit("said", this.fresh ? null : (this.last?.created ?? null));
    void this.loadPins();
    return deleted;
  }

  async reset() {
    this.stop();
    await this.api.reset(this.id);
    await this.startAgain();
  }

  /** Everything anew from the server, after a reset or when memory was cleared. */
  async startAgain() {
    this.turns.clear();
    this.problems.clear();
    await this.loadNewest();
    this.emit("change", undefined);
    await this.loadPins();
    this.emit("said", this.fresh ? null : (this.last?.created ?? null));
    this.emit("end", { reply: null, outcome: "reset" });
  }

  // Pins --------------------------------------------------------------------------------------------------------

  async loadPins() {
    try {
      const { pins } = await this.api.pins(this.id);
      this.pins = pins;
      this.emit("pins", undefined);
    } catch (error) {
      if (!wasAborted(error) && !this.closed) this.emit("problem", error);
    }
  }

  /** @param {string} messageId @returns {import("../../types.js").Pin|null} */
  pinOf(messageId) {
    return this.pins.find((one) => one.message_id === messageId) ?? null;
  }

  /** @param {string} messageId @returns {Promise<boolean>} whether it is pinned now */
  async togglePin(messageId) {
    const pin = this.pinOf(messageId);
    if (pin) await this.api.unpin(this.id, pin.id);
    else await this.api.pin(this.id, { message_id: messageId });
    await this.loadPins();
    return !pin;
  }

  /** @param {string[]} messageIds */
  async forget(messageIds) {
    const { forgotten } = await this.api.forget(this.id, messageIds);
    const gone = new Set(messageIds);
    for (const [id, turn] of this.turns) {
      const recalled = turn.recalled
        .map((span) => ({ ...span, turns: span.turns.filter((one) => !gone.has(one.message_id)) }))
        .filter((span) => span.turns.length);
      this.turns.set(id, { ...turn, recalled });
    }
    for (const id of gone) this.drop(id);
    if (!this.detached && !this.busy) await this.refresh();
    else this.emit("change", undefined);
    await this.loadPins();
    return forgotten;
  }
}
