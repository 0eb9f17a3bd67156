// The characters this person can see.

import { Emitter } from "../emitter.js";

/** @extends {Emitter<{change: void}>} */
export class Shelf extends Emitter {
  /** @type {import("../../types.js").CharacterSummary[]} */
  all = [];
  loaded = false;

  /** @param {import("../api.js").Api} api */
  constructor(api) {
    super();
    this.api = api;
  }

  async load() {
    const { characters } = await this.api.characters();
    this.all = characters;
    this.loaded = true;
    this.#sort();
  }

  /** @param {string} id */
  find(id) {
    return this.all.find((one) => one.id === id) ?? null;
  }

  /** @param {import("../../types.js").CharacterSummary} character */
  put(character) {
    const old = this.find(character.id);
    const next = { ...character, last_message_at: character.last_message_at ?? old?.last_message_at ?? null };
    this.all = old ? this.all.map((one) => (one === old ? next : one)) : [...this.all, next];
    this.#sort();
  }

  /** @param {string} id */
  remove(id) {
    this.all = this.all.filter((one) => one.id !== id);
    this.emit("change", undefined);
  }

  /** A message was just said. @param {string} id @param {string|null} at */
  touch(id, at) {
    this.all = this.all.map((one) => (one.id === id ? { ...one, last_message_at: at } : one));
    this.#sort();
  }

  #sort() {
    this.all.sort((a, b) => (b.last_message_at ?? "").localeCompare(a.last_message_at ?? "") || a.name.localeCompare(b.name));
    this.emit("change", undefined);
  }
}
