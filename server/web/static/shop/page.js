// The shop as one character wears it, and what one owns.

import { sentence } from "../api.js";
import { confirmDialog } from "../dialog.js";
import { fill, h, settle } from "../dom.js";
import { icon } from "../icons.js";
import { loadInto, nothing } from "../panel.js";
import { format } from "../router.js";
import { attempt, toast } from "../toast.js";
import { Tile } from "./tile.js";
import { uploadItem } from "./upload.js";
import { Wardrobe } from "./wardrobe.js";

/** @typedef {"all"|"mine"} Shelf */

const SHARED = "Somebody else waits for this picture too, so it is made all the same.";

export class ShopPage {
  /** @type {Map<string, Tile>} */
  #tiles = new Map();
  /** @type {Shelf} */
  #shelf = "all";
  #category = "";
  #filters;
  #body;
  #bare;
  #grid;

  /** @param {import("../app.js").App} app @param {import("../../types.js").Character} character */
  constructor(app, character) {
    this.app = app;
    this.character = character;
    this.wardrobe = new Wardrobe(app, character.id);
    this.#filters = h("div", { class: "shop__filters" });
    this.#body = h("div", { class: "shop__body" });
    this.#bare = h("p", { class: "notice", role: "note" });
    this.#grid = h("ul", { class: "shop__grid", "aria-label": "Items" });
    this.el = h(
      "section",
      { class: "shop", "aria-label": `What ${character.name} wears` },
      h(
        "header",
        { class: "page-head" },
        h("a", { class: "icon-button", href: format({ view: "chat", id: character.id, memory: false }), "aria-label": `Back to ${character.name}` }, icon("back")),
        h("h1", { class: "page-head__title", dir: "auto" }, `What ${character.name} wears`),
        h("button", { type: "button", class: "button button--small", onclick: () => uploadItem(app, () => this.#load()) }, icon("upload"), "Add your own"),
      ),
      h("div", { class: "editor__scroll" }, h("div", { class: "shop__sheet" }, this.#filters, this.#body)),
    );
    this.wardrobe.on("change", () => this.#render());
    this.wardrobe.on("picture", (item) => this.#tiles.get(item)?.update());
    this.wardrobe.on("frame", ({ item, url }) => this.#tiles.get(item)?.frame(url));
    this.#load();
  }

  close() {
    this.wardrobe.close();
  }

  #load() {
    void loadInto(this.#body, async () => { await this.wardrobe.load(); }, sentence);
  }

  #render() {
    const { wardrobe } = this;
    this.#paintFilters();
    const shown = wardrobe.items.filter((one) => (this.#shelf === "all" || wardrobe.owned.has(one.id)) && (!this.#category || one.category === this.#category));
    if (!shown.length) {
      fill(this.#body, nothing(this.#shelf === "mine" ? "You own nothing yet. “Add your own” takes a picture of anything you would like to see on someone." : "The shop is empty. “Add your own” takes a picture of anything you would like to see on someone."));
      this.#tiles.clear();
      return;
    }
    this.#bare.hidden = !wardrobe.bare;
    fill(this.#bare, wardrobe.bare === "no_look" ? `${this.character.name} has no look yet, so no picture is made: an admin gives one on the page “Pictures and hosts”.` : `No picture can be made right now. ${wardrobe.why}`);
    this.#tiles = new Map(shown.map((item) => [item.id, this.#tile(item)]));
    settle(this.#grid, [...this.#tiles.values()].map((one) => one.el));
    settle(this.#body, [this.#bare, this.#grid]);
  }

  /** @param {import("../../types.js").Item} item */
  #tile(item) {
    const old = this.#tiles.get(item.id);
    if (old?.item === item) {
      old.update();
      return old;
    }
    return new Tile(item, this.wardrobe, this.character.name, {
      preview: (one) => void attempt(() => this.wardrobe.ask(one)),
      cancel: (one) => void attempt(async () => {
        if (!(await this.wardrobe.cancel(one))) toast(SHARED);
      }),
      wear: (one) => void attempt(async () => {
        await this.wardrobe.wear(one);
        toast(`${this.character.name} wears it from now on: ${one.title}`, { action: { label: "See it in the chat", run: () => void this.#inChat({}) } });
      }),
      takeOff: () => void attempt(() => this.wardrobe.takeOff()),
      give: (one) => void this.#inChat({ item_id: one.id, how: "give" }, one.title),
      remove: (one) => void confirmDialog({
        title: `Delete ${one.title}?`,
        text: one.private ? "The item and its pictures will be gone. This cannot be undone." : "It is taken out of the shop and out of everyone's inventory. This cannot be undone.",
        confirm: "Delete",
        run: () => this.wardrobe.remove(one),
      }),
    });
  }

  /** Goes to the conversation and asks for a picture there. @param {import("../chat/pictures.js").Ask} ask @param {string} [title] */
  async #inChat(ask, title) {
    const { router } = this.app;
    await router.go({ view: "chat", id: this.character.id, memory: false });
    const conversation = this.app.conversationWith(this.character.id);
    await attempt(async () => {
      await conversation.opened;
      await conversation.pictures.ask(ask, title);
    });
  }

  #paintFilters() {
    const chip = (/** @type {string} */ label, /** @type {boolean} */ on, /** @type {() => void} */ choose) =>
      h("button", { type: "button", class: "filter", "aria-pressed": String(on), dir: "auto", onclick: () => { choose(); this.#render(); this.#refocus(label); } }, label);
    const shelf = (/** @type {Shelf} */ name, /** @type {string} */ label) => chip(label, this.#shelf === name, () => { this.#shelf = name; });
    const { categories } = this.wardrobe;
    if (!categories.includes(this.#category)) this.#category = "";
    fill(
      this.#filters,
      h("div", { class: "shop__chips", role: "group", "aria-label": "Whose" }, shelf("all", "Everything"), shelf("mine", "What I own")),
      categories.length > 1 && h(
        "div",
        { class: "shop__chips", role: "group", "aria-label": "Category" },
        categories.map((one) => chip(one, this.#category === one, () => { this.#category = this.#category === one ? "" : one; })),
      ),
    );
  }

  /** The filters are drawn anew; the one that was pressed keeps the focus. @param {string} label */
  #refocus(label) {
    for (const one of this.#filters.querySelectorAll("button")) if (one.textContent === label) one.focus();
  }
}
