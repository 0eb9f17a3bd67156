// The other ways a conversation can begin.

import { autoGrow, fill, h, uid } from "../dom.js";
import { icon } from "../icons.js";

export class GreetingList {
  /** @type {HTMLTextAreaElement[]} */
  #areas;
  #list;

  /** @param {string[]} greetings @param {boolean} locked @param {() => void} changed */
  constructor(greetings, locked, changed) {
    this.locked = locked;
    this.changed = changed;
    this.#areas = greetings.map((text) => this.#area(text));
    this.#list = h("ol", { class: "greetings" });
    this.el = h(
      "div",
      { class: "field" },
      h("p", { class: "label" }, "Other first messages"),
      h("p", { class: "hint" }, "A new conversation can begin with any of them: the arrows under the first message choose."),
      this.#list,
      !locked && h("button", { type: "button", class: "button button--small", onclick: () => this.#add() }, icon("plus"), "Add another"),
    );
    this.#paint();
  }

  values() {
    return this.#areas.map((one) => one.value.trim()).filter(Boolean);
  }

  /** @param {string} text */
  #area(text) {
    const area = h("textarea", { id: uid("greeting"), class: "input", rows: "3", dir: "auto", value: text, readOnly: this.locked, oninput: () => this.changed() });
    autoGrow(area);
    return area;
  }

  #add() {
    const area = this.#area("");
    this.#areas.push(area);
    this.#paint();
    area.focus();
    this.changed();
  }

  /** @param {number} at @param {1|-1} step */
  #move(at, step) {
    const [area] = this.#areas.splice(at, 1);
    this.#areas.splice(at + step, 0, area);
    this.#paint();
    area.focus();
    this.changed();
  }

  /** @param {number} at */
  #remove(at) {
    this.#areas.splice(at, 1);
    this.#paint();
    (this.#areas[at] ?? this.#areas.at(-1))?.focus();
    this.changed();
  }

  #paint() {
    const tool = (/** @type {string} */ name, /** @type {string} */ label, /** @type {boolean} */ off, /** @type {() => void} */ run) =>
      h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, disabled: off, onclick: run }, icon(name));
    fill(
      this.#list,
      this.#areas.map((area, at) =>
        h(
          "li",
          { class: "greetings__one" },
          h("label", { class: "sr-only", for: area.id }, `First message ${at + 2}`),
          area,
          !this.locked && h("div", { class: "greetings__tools" }, tool("up", "Move up", at === 0, () => this.#move(at, -1)), tool("fold", "Move down", at === this.#areas.length - 1, () => this.#move(at, 1)), tool("trash", "Remove", false, () => this.#remove(at))),
        ),
      ),
    );
  }
}
