// The shop's items: adding, changing, showing, handing out, taking out.

import { sentence } from "../../api.js";
import { confirmDialog, openDialog } from "../../dialog.js";
import { h, uid } from "../../dom.js";
import { icon } from "../../icons.js";
import { menuButton } from "../../menu.js";
import { loadInto, nothing } from "../../panel.js";
import { categoryId, uploadItem } from "../../shop/upload.js";
import { toast } from "../../toast.js";

/** @typedef {import("../../../types.js").Item} Item */

export class ItemsSection {
  #list;

  /** @param {import("../../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.#list = h("div", null);
    this.el = h(
      "section",
      { class: "admin__part" },
      h("div", { class: "admin__head" }, h("h2", null, "Items"), h("button", { type: "button", class: "button button--small", onclick: () => uploadItem(app, () => void this.load(), { shop: true }) }, icon("plus"), "Add an item")),
      this.#list,
    );
  }

  load() {
    return loadInto(this.#list, async () => {
      const items = (await Promise.all([this.app.api.items(), this.app.api.items({ hidden: "true" })])).flat();
      return items.length ? h("ul", { class: "rows" }, items.map((one) => this.#row(one))) : nothing("There is nothing in the shop yet.");
    }, sentence);
  }

  /** @param {Item} item */
  #row(item) {
    return h(
      "li",
      { class: "rows__one" },
      item.picture && h("img", { class: "rows__thumb", src: item.picture, alt: "", loading: "lazy" }),
      h("div", { class: "rows__text" }, h("p", { class: "rows__name", dir: "auto" }, item.title, !item.public && h("span", { class: "chip" }, "not shown"), !item.visual && h("span", { class: "chip" }, "cannot be seen")), h("p", { class: "rows__line", dir: "auto" }, [item.category, item.prompt_hint].filter(Boolean).join(" · "))),
      menuButton({
        label: `Actions for ${item.title}`,
        items: () => [
          { label: "Change", icon: "edit", run: () => this.#edit(item) },
          { label: "Hand it to someone", icon: "gift", run: () => this.#grant(item) },
          {
            label: "Delete", icon: "trash", danger: true,
            run: () => void confirmDialog({
              title: `Delete ${item.title}?`, text: "It is taken out of the shop and out of everyone's inventory. This cannot be undone.", confirm: "Delete",
              run: async () => { await this.app.api.deleteItem(item.id); await this.load(); },
            }),
          },
        ],
      }),
    );
  }

  /** @param {Item} item */
  #edit(item) {
    const ids = { title: uid("title"), category: uid("category"), hint: uid("hint"), price: uid("price") };
    const title = h("input", { id: ids.title, class: "input", type: "text", dir: "auto", maxlength: "200", value: item.title, required: true });
    const category = h("input", { id: ids.category, class: "input", type: "text", dir: "auto", maxlength: "64", value: item.category });
    const hint = h("input", { id: ids.hint, class: "input", type: "text", dir: "auto", maxlength: "500", value: item.prompt_hint });
    const price = h("textarea", { id: ids.price, class: "input input--code", rows: "3", spellcheck: "false", value: item.price ? JSON.stringify(item.price) : "" });
    const shown = h("input", { type: "checkbox", checked: item.public });
    openDialog({
      title: `Change ${item.title}`,
      body: h(
        "div",
        { class: "stack" },
        h("label", { class: "label", for: ids.title }, "What it is called"), title,
        h("label", { class: "label", for: ids.category }, "Category"), category,
        h("label", { class: "label", for: ids.hint }, "In a few words, for the picture"), hint,
        h("label", { class: "label", for: ids.price }, "Price tag"), price, h("p", { class: "hint" }, "JSON for your own shop. Its “label”, if it has one, is shown on this page."),
        h("label", { class: "check" }, shown, "Show it in the shop"),
      ),
      actions: [
        { label: "Cancel", kind: "quiet" },
        {
          label: "Save", kind: "primary",
          run: async () => {
            const tag = priceOf(price.value);
            if (!title.value.trim() || tag === undefined) {
              price.setAttribute("aria-invalid", String(tag === undefined));
              (tag === undefined ? price : title).focus();
              return false;
            }
            await this.app.api.changeItem(item.id, { title: title.value.trim(), category: categoryId(category.value), prompt_hint: hint.value.trim(), price: tag, public: shown.checked }, item.etag);
            await this.load();
            return true;
          },
        },
      ],
    });
  }

  /** @param {Item} item */
  #grant(item) {
    const id = uid("user");
    const people = h("select", { id, class: "input" });
    const { close } = openDialog({
      title: `Hand out ${item.title}`,
      body: h("div", { class: "stack" }, h("label", { class: "label", for: id }, "Who has it from now on"), people),
      actions: [
        { label: "Cancel", kind: "quiet" },
        {
          label: "Hand it out", kind: "primary",
          run: async () => {
            await this.app.api.grant({ user_id: people.value, item_id: item.id, how: "granted" });
            toast("Handed out.");
            return true;
          },
        },
      ],
    });
    this.app.api.users().then(
      ({ users }) => people.append(...users.map((/** @type {import("../../../types.js").User} */ one) => h("option", { value: one.id }, one.name))),
      (error) => { close(); toast(sentence(error), { error: true }); },
    );
  }
}

/** @param {string} text @returns {object|null|undefined} undefined: it is no JSON object */
function priceOf(text) {
  if (!text.trim()) return null;
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
