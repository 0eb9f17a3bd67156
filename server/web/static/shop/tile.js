// One item in the shop: how the character looks in it, and what can be done with it.

import { openDialog } from "../dialog.js";
import { announce, fill, h, uid } from "../dom.js";
import { icon } from "../icons.js";
import { menuButton } from "../menu.js";
import { PictureBox, showLarge } from "../pictures/box.js";
import { onItsWay } from "../pictures/words.js";

/**
 * @typedef {import("../../types.js").Item} Item
 * @typedef {object} TileActions
 * @property {(item: Item) => void} preview
 * @property {(item: Item) => void} cancel
 * @property {(item: Item) => void} wear
 * @property {() => void} takeOff
 * @property {(item: Item) => void} give
 * @property {(item: Item) => void} remove
 */

export class Tile {
  #box;
  #line;
  #buttons;
  #state = "";
  #painted = "";

  /** @param {Item} item @param {import("./wardrobe.js").Wardrobe} wardrobe @param {string} name  the character's @param {TileActions} actions */
  constructor(item, wardrobe, name, actions) {
    this.item = item;
    this.wardrobe = wardrobe;
    this.name = name;
    this.actions = actions;
    const id = uid("item");
    this.#box = new PictureBox({
      alt: `${name} wearing ${item.title}`,
      none: item.visual ? "" : "This cannot be seen on a picture.",
      open: (url) => showLarge(openDialog, `${name} wearing ${item.title}`, url),
    });
    this.#line = h("p", { class: "tile__line" });
    this.#buttons = h("div", { class: "tile__buttons" });
    this.el = h(
      "li",
      { class: "tile", "aria-labelledby": id, "data-item": item.id },
      this.#box.el,
      h("div", { class: "tile__head" }, h("h3", { class: "tile__title", id, dir: "auto" }, item.title), this.#menu()),
      this.#line,
      this.#buttons,
    );
    this.update();
  }

  update() {
    const { item, wardrobe, name, actions } = this;
    const picture = wardrobe.picture(item.id);
    if (this.#state && this.#state !== picture.state && picture.state === "ready") announce(`${name} wearing ${item.title}: the picture is there.`);
    this.#state = picture.state;
    this.#box.update(picture, item.picture);
    const owned = wardrobe.owned.has(item.id);
    const worn = wardrobe.worn === item.id;
    // progress comes several times a second: a button that is being pressed must not be another one when it is let go
    const painted = JSON.stringify([picture.state, owned, worn, wardrobe.bare]);
    if (painted === this.#painted) return;
    this.#painted = painted;
    const price = typeof item.price?.label === "string" ? item.price.label : "";
    fill(this.#line, [item.category, item.private ? "yours alone" : owned ? "yours" : price].filter(Boolean).join(" · "), worn && h("span", { class: "tile__worn" }, icon("check"), "worn now"));
    const button = (/** @type {string} */ label, /** @type {() => void} */ run, primary = false) =>
      h("button", { type: "button", class: `button button--small${primary ? " button--primary" : ""}`, "aria-label": `${label}: ${item.title}`, "data-act": label, onclick: run }, label);
    const focused = this.#buttons.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.act : null;
    fill(
      this.#buttons,
      item.visual && !wardrobe.bare && (picture.state === "none" || picture.state === "failed") && button(picture.state === "failed" ? "Try again" : "Preview", () => actions.preview(item), true),
      onItsWay(picture) && button("Cancel", () => actions.cancel(item)),
      owned && item.visual && (worn ? button("Take off", () => actions.takeOff()) : button("Wear", () => actions.wear(item))),
      owned && button("Give", () => actions.give(item)),
      !owned && h("span", { class: "tile__hint" }, onItsWay(picture) ? "" : "Only what you own can be worn."),
    );
    // a button that was pressed and is gone hands the focus to the next one, so that a keyboard does not lose its place
    if (focused) /** @type {HTMLElement|null} */ (this.#buttons.querySelector(`[data-act="${focused}"]`) ?? this.el.querySelector("button:not(:disabled)"))?.focus();
  }

  /** @param {string} url */
  frame(url) {
    this.#box.frame(url);
  }

  #menu() {
    const { item, actions } = this;
    if (!item.editable) return null;
    return menuButton({ label: `Actions for ${item.title}`, items: () => [{ label: "Delete", icon: "trash", danger: true, run: () => actions.remove(item) }] });
  }
}
