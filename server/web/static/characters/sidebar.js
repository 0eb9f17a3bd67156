// The list of characters, the way to new ones, and whose page this is.

import { fill, h, uid } from "../dom.js";
import { brief, exactly } from "../format.js";
import { icon } from "../icons.js";
import { menuButton } from "../menu.js";
import { wordmark } from "../signin.js";
import { showUsage } from "../usage.js";
import { nextTheme, setTheme, theme } from "../theme.js";
import { avatar } from "./avatar.js";

const THEME_NAMES = { auto: "as the system", light: "light", dark: "dark" };
const THEME_ICONS = { auto: "auto", light: "sun", dark: "moon" };

export class Sidebar {
  #search;
  #list;
  #empty;
  #current = "";

  /** @param {import("../app.js").App} app */
  constructor(app) {
    this.app = app;
    const searchId = uid("search");
    this.#search = h("input", { id: searchId, class: "input input--search", type: "search", placeholder: "Find a character", autocomplete: "off", oninput: () => this.render() });
    this.#list = h("ul", { class: "people", "aria-label": "Characters" });
    this.#empty = h("p", { class: "hint side__empty", hidden: true });
    this.el = h(
      "nav",
      { class: "side", "aria-label": "Characters" },
      h(
        "div",
        { class: "side__head" },
        h("a", { class: "side__brand", href: "#/", "aria-label": "Vestige, to the start" }, wordmark()),
        h("button", { type: "button", class: "icon-button", "aria-label": "Import a character card", title: "Import a character card", onclick: () => app.importer.pick() }, icon("upload")),
        h("button", { type: "button", class: "icon-button", "aria-label": "New character", title: "New character", onclick: () => app.router.go({ view: "new" }) }, icon("plus")),
      ),
      h("div", { class: "search", role: "search" }, icon("search"), h("label", { class: "sr-only", for: searchId }, "Find a character"), this.#search),
      h("div", { class: "side__scroll" }, this.#list, this.#empty),
      this.#foot(),
    );
    app.shelf.on("change", () => this.render());
  }

  #foot() {
    const { me } = this.app;
    const themeButton = h("button", { type: "button", class: "icon-button" });
    const showTheme = () => {
      const label = `Colours: ${THEME_NAMES[theme()]}. Switch to ${THEME_NAMES[nextTheme()]}`;
      themeButton.setAttribute("aria-label", label);
      themeButton.title = label;
      fill(themeButton, icon(THEME_ICONS[theme()]));
    };
    themeButton.addEventListener("click", () => {
      setTheme(nextTheme());
      showTheme();
    });
    showTheme();
    return h(
      "div",
      { class: "side__foot" },
      h("p", { class: "side__me" }, h("span", { class: "side__name", dir: "auto" }, me.user.name), h("span", { class: "side__tier" }, `${me.role} · ${me.tier}`)),
      themeButton,
      menuButton({
        label: "More",
        items: () => [
          me.scopes.includes("admin") && { label: "People and keys", icon: "people", run: () => this.app.router.go({ view: "admin" }) },
          me.scopes.includes("admin") && { label: "Models and money", icon: "scales", run: () => this.app.router.go({ view: "routing" }) },
          me.scopes.includes("admin") && { label: "Pictures and hosts", icon: "server", run: () => this.app.router.go({ view: "studio" }) },
          { label: "Your usage", icon: "purse", run: () => showUsage(this.app.api) },
          { label: "Keyboard shortcuts", icon: "keys", run: () => this.app.shortcuts.show() },
          { label: "Sign out", icon: "leave", run: () => this.app.signOut() },
        ],
      }),
    );
  }

  /** @param {string} id  the character that is open, or "" */
  setCurrent(id) {
    this.#current = id;
    this.render();
  }

  /** The neighbour of the open character in the list as shown. @param {1|-1} step @returns {string|null} */
  neighbour(step) {
    const shown = this.#matching();
    const at = shown.findIndex((one) => one.id === this.#current);
    return shown[at + step]?.id ?? null;
  }

  #matching() {
    const wanted = this.#search.value.trim().toLocaleLowerCase();
    return this.app.shelf.all.filter((one) => !wanted || [one.name, ...one.tags].some((text) => text.toLocaleLowerCase().includes(wanted)));
  }

  render() {
    const shown = this.#matching();
    const focused = this.#list.contains(document.activeElement) ? document.activeElement?.getAttribute("href") : null;
    fill(this.#list, shown.map((one) => this.#item(one)));
    if (focused) /** @type {HTMLElement|null} */ (this.#list.querySelector(`a[href="${CSS.escape(focused)}"]`))?.focus();
    this.#empty.hidden = shown.length > 0 || !this.app.shelf.loaded;
    this.#empty.textContent = this.app.shelf.all.length
      ? "Nobody here has that name or tag."
      : "Nobody is here yet. Make a character with +, or drop a character card on this page.";
  }

  /** @param {import("../../types.js").CharacterSummary} one */
  #item(one) {
    const line = one.damaged ? one.damaged : one.tags.length ? one.tags.join(", ") : (one.creator_notes ?? "");
    return h(
      "li",
      null,
      h(
        "a",
        { class: "person", href: `#/c/${encodeURIComponent(one.id)}`, "aria-current": one.id === this.#current ? "page" : undefined },
        avatar(one),
        h("span", { class: "person__text" }, h("span", { class: "person__name", dir: "auto" }, one.name), line && h("span", { class: "person__line", dir: "auto" }, line)),
        h(
          "span",
          { class: "person__side" },
          one.last_message_at && h("time", { datetime: one.last_message_at, title: exactly(one.last_message_at) }, brief(one.last_message_at)),
          one.shared && h("span", { class: "person__shared", title: "Everyone on this server can talk to this character" }, icon("share"), h("span", { class: "sr-only" }, "shared")),
        ),
      ),
    );
  }
}
