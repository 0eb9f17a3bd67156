// What there is to wear for one character: items, which of them are owned and worn, and their pictures. No DOM.

import { ApiError } from "../api.js";
import { Emitter } from "../emitter.js";
import { onItsWay } from "../pictures/words.js";

/**
 * @typedef {import("../../types.js").Item} Item
 * @typedef {import("../../types.js").PictureState} PictureState
 */

/**
 * change: what there is. picture: one item's, by its id. frame: a live one.
 * @extends {Emitter<{change: void, picture: string, frame: {item: string, url: string}}>}
 */
export class Wardrobe extends Emitter {
  /** @type {Item[]} */
  items = [];
  /** @type {Set<string>} */
  owned = new Set();
  /** @type {string|null} */
  worn = null;
  /** @type {"no_look"|"no_host"|null} why there can be no pictures */
  bare = null;
  /** The server's own sentence for it. */
  why = "";
  /** @type {Map<string, PictureState>} */
  #pictures = new Map();
  /** @type {Map<string, () => void>} */
  #following = new Map();
  #closed = false;

  /** @param {import("../app.js").App} app @param {string} character */
  constructor(app, character) {
    super();
    this.app = app;
    this.api = app.api;
    this.character = character;
  }

  async load() {
    const [shop, owned, worn, pictures] = await Promise.all([this.api.items(), this.api.inventory(), this.api.worn(this.character), this.#made()]);
    this.owned = new Set(owned.map((one) => one.id));
    this.worn = worn.item?.id ?? null;
    this.items = [...new Map([...shop, ...owned].map((one) => [one.id, one])).values()];
    for (const picture of pictures) if (picture.item_id) this.#put(picture.item_id, picture);
    this.emit("change", undefined);
  }

  /** How all pictures stand. A character without a look, or a server without a host, has none: the items are there all the same. */
  async #made() {
    try {
      this.bare = null;
      return await this.api.previews(this.character);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.bare = error.status === 404 ? "no_look" : error.code === "host_unavailable" ? "no_host" : null;
      if (!this.bare) throw error;
      this.why = error.message;
      return [];
    }
  }

  get categories() {
    return [...new Set(this.items.map((one) => one.category).filter(Boolean))].sort((a, b) => a.localeCompare(b));
  }

  /** @param {string} item @returns {PictureState} */
  picture(item) {
    return this.#pictures.get(item) ?? { key: "", state: "none" };
  }

  /** Has a picture made. @param {Item} item */
  async ask(item) {
    this.#put(item.id, await this.api.askPreview(this.character, item.id));
  }

  /** One does not want it any more. @param {Item} item @returns {Promise<boolean>} whether it is not made now: others may want it */
  async cancel(item) {
    const { key, job_id: job } = this.picture(item.id);
    if (!job) return true;
    const { state } = await this.api.cancelJob(job);
    if (state === "cancelled") this.#put(item.id, { key, state: "none" });
    return state === "cancelled";
  }

  /** @param {Item} item */
  async wear(item) {
    this.worn = (await this.api.wear(this.character, item.id)).item?.id ?? null;
    this.emit("change", undefined);
  }

  async takeOff() {
    await this.api.takeOff(this.character);
    this.worn = null;
    this.emit("change", undefined);
  }

  /** @param {Item} item */
  async remove(item) {
    await this.api.deleteItem(item.id);
    this.#unfollow(item.id);
    this.items = this.items.filter((one) => one !== item);
    this.owned.delete(item.id);
    if (this.worn === item.id) this.worn = null;
    this.emit("change", undefined);
  }

  close() {
    this.#closed = true;
    for (const id of [...this.#following.keys()]) this.#unfollow(id);
  }

  /** @param {string} item @param {PictureState} picture */
  #put(item, picture) {
    if (this.#closed) return;
    this.#pictures.set(item, picture);
    this.#unfollow(item);
    if (onItsWay(picture) && picture.job_id) this.#follow(item, picture.job_id);
    this.emit("picture", item);
  }

  /** @param {string} item @param {string} job */
  #follow(item, job) {
    this.#following.set(item, this.app.jobs.follow(job, {
      job: ({ state, share, position, waiting, error }) => {
        if (state !== "waiting" && state !== "running") return;
        this.#pictures.set(item, { ...this.picture(item), state, share, position, waiting, error });
        this.emit("picture", item);
      },
      frame: (url) => this.emit("frame", { item, url }),
      end: () => void this.#ended(item),
    }));
  }

  /** @param {string} item */
  async #ended(item) {
    this.#following.delete(item);
    try {
      this.#put(item, await this.api.preview(this.picture(item).key));
    } catch {
      this.#put(item, { ...this.picture(item), state: "none" }); // it can be asked for again
    }
  }

  /** @param {string} item */
  #unfollow(item) {
    this.#following.get(item)?.();
    this.#following.delete(item);
  }
}
