// Asking for pictures in a conversation, and what the character wears in them. No DOM.

import { ApiError, sentence } from "../api.js";
import { newKey } from "./keys.js";

/**
 * @typedef {import("../../types.js").Message} Message
 * @typedef {import("../../types.js").Picture} Picture
 * @typedef {{item_id?: string, prompt?: string, how?: "show"|"wear"|"give"}} Ask
 */

export class ConversationPictures {
  /** The item that the character has on, as far as this page knows. @type {string|null} */
  worn = null;
  asking = false;

  /** @param {import("./conversation.js").Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
  }

  async load() {
    const { api, id } = this.conversation;
    this.worn = (await api.worn(id)).item?.id ?? null;
    this.conversation.emit("change", undefined);
  }

  /** Puts an item on. @param {string} item @returns {Promise<string>} its title */
  async wear(item) {
    const { api, id } = this.conversation;
    const worn = await api.wear(id, item);
    this.worn = worn.item?.id ?? null;
    this.conversation.emit("change", undefined);
    return worn.item?.title ?? "";
  }

  /** @param {Ask} ask @param {string} [title]  the item's, as the message shows it until the server has it */
  async ask(ask, title = "") {
    const { conversation } = this;
    if (conversation.busy) return;
    if (conversation.detached) await conversation.latest();
    const words = ask.how === "give" ? "gives you" : ask.how === "wear" ? "/wear" : "/picture";
    /** @type {Message} */
    const mine = {
      id: `local-${newKey()}`, role: "user", html: "", created: new Date().toISOString(), status: "sending", asks: "picture", ask,
      text: [words, title && `“${title}”`, ask.prompt].filter(Boolean).join(" "),
    };
    conversation.add(mine);
    await this.deliver(mine);
  }

  /** Sends a request, or tries again one that may or may not have arrived: the same key makes the server tell. @param {Message} mine */
  async deliver(mine) {
    const { conversation } = this;
    const wasFresh = conversation.fresh || conversation.messages.some((one) => one.id === "greeting");
    this.asking = true;
    conversation.emit("change", undefined);
    try {
      const { asked, message } = await conversation.api.askPicture(conversation.id, mine.ask ?? {}, mine.id.slice("local-".length));
      conversation.put(mine.id, asked ?? mine);
      if (message) this.#show(message);
      if (mine.ask?.how && mine.ask.how !== "show") this.worn = mine.ask.item_id ?? this.worn;
      conversation.emit("said", (message ?? asked ?? mine).created);
      this.asking = false;
      if (wasFresh || !message) await conversation.catchUp();
      if (!message && conversation.last) await conversation.regenerate(conversation.last); // what cannot be seen is answered in words
    } catch (error) {
      this.asking = false;
      const kept = error instanceof Error && "details" in error && /** @type {any} */ (error.details).message_id;
      if (kept) {
        conversation.drop(mine.id);
        await conversation.catchUp();
        if (conversation.last) conversation.problems.set(conversation.last.id, sentence(error));
      } else {
        conversation.put(mine.id, { ...mine, status: "unsent", problem: sentence(error) });
      }
    } finally {
      this.asking = false;
      conversation.emit("change", undefined);
    }
  }

  /** Another version of a picture, or the same one where it came to nothing. @param {Message} message */
  async again(message) {
    const { conversation } = this;
    if (conversation.busy) return;
    this.asking = true;
    conversation.problems.delete(message.id);
    conversation.emit("change", undefined);
    try {
      const { message: next } = await conversation.api.pictureAgain(conversation.id, message.id);
      if (next) this.#show(next);
    } finally {
      this.asking = false;
      conversation.emit("change", undefined);
    }
  }

  /** A render has ended: what its messages show now. @param {string} key */
  async look(key) {
    const { conversation } = this;
    const now = await this.#state(key);
    conversation.messages = conversation.messages.map((one) => withPicture(one, key, now));
    conversation.emit("change", undefined);
  }

  /** @param {string} key @returns {Promise<Picture>} */
  async #state(key) {
    try {
      return await this.conversation.api.preview(key);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return { key, state: "none", job_id: null }; // it was cancelled
      throw error;
    }
  }

  /** Whether a reply answers a request for a picture. @param {Message} reply */
  answers(reply) {
    if (reply.role !== "assistant") return false;
    const { messages } = this.conversation;
    return messages[messages.indexOf(reply) - 1]?.asks === "picture";
  }

  /** @param {Message} message */
  #show(message) {
    const { conversation } = this;
    if (conversation.messages.some((one) => one.id === message.id)) conversation.put(message.id, message);
    else if (!conversation.detached) conversation.add(message);
  }
}

/** @param {Message} message @param {string} key @param {Picture} now @returns {Message} */
function withPicture(message, key, now) {
  /** @template {{picture?: Picture|null}} T @param {T} one @returns {T} */
  const changed = (one) => (one.picture?.key === key ? { ...one, picture: { ...one.picture, ...now, item_id: one.picture.item_id, scene: one.picture.scene } } : one);
  return message.alternatives?.some((one) => one.picture?.key === key) ? changed({ ...message, alternatives: message.alternatives.map(changed) }) : message;
}
