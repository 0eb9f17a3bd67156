// Keys: for programs that talk to this server.

import { ApiError, sentence } from "../api.js";
import { confirmDialog, openDialog } from "../dialog.js";
import { h, uid } from "../dom.js";
import { ago, exactly } from "../format.js";
import { icon } from "../icons.js";
import { loadInto, nothing } from "../panel.js";
import { toast } from "../toast.js";
import { showSecret } from "./secret.js";

/** @type {[string, string][]} */
const SCOPES = [
  ["chat", "talk to characters"],
  ["memory", "read and change memory"],
  ["characters", "write characters"],
  ["catalog", "browse the shop, own and wear items; unbound, keep the shop"],
  ["recall", "only read what one person's companion remembers, for the ComfyUI nodes"],
  ["remember", "note pictures there too"],
  ["admin", "everything, for everyone"],
];

export class KeysSection {
  #list;

  /** @param {import("../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.#list = h("div", null);
    this.el = h("section", { class: "admin__part" }, h("div", { class: "admin__head" }, h("h2", null, "Keys for programs"), h("button", { type: "button", class: "button button--small", onclick: () => this.#add() }, icon("plus"), "Make a key")), this.#list);
  }

  load() {
    return loadInto(this.#list, async () => {
      const { keys } = await this.app.api.keys();
      if (!keys.length) return nothing("No program has a key.");
      return h("ul", { class: "rows" }, keys.map((/** @type {import("../../types.js").ApiKey} */ key) => this.#row(key)));
    }, sentence);
  }

  /** @param {import("../../types.js").ApiKey} key */
  #row(key) {
    return h(
      "li",
      { class: "rows__one" },
      h(
        "div",
        { class: "rows__text" },
        h("p", { class: "rows__name", dir: "auto" }, key.name, h("code", { class: "rows__prefix" }, `${key.prefix}…`)),
        h("p", { class: "rows__line" }, key.scopes.map((scope) => h("span", { class: "chip" }, scope)), ` ${[key.user_id && `for ${key.user_id}`, key.tier, ""].filter((one) => one !== null).join(" · ")}`, key.last_used ? h("time", { datetime: key.last_used, title: exactly(key.last_used) }, `used ${ago(key.last_used)}`) : "never used"),
      ),
      h("button", {
        type: "button", class: "button button--small button--danger-quiet", "aria-label": `Revoke ${key.name}`,
        onclick: () => void confirmDialog({
          title: `Revoke ${key.name}?`, text: "Programs that use this key stop working at once.", confirm: "Revoke",
          run: async () => {
            await this.app.api.revokeKey(key.id);
            await this.load();
            toast("Revoked.");
          },
        }),
      }, "Revoke"),
    );
  }

  #add() {
    const ids = { name: uid("name"), user: uid("user"), tier: uid("tier") };
    const name = h("input", { id: ids.name, class: "input", type: "text", dir: "auto", required: true, autocomplete: "off", autofocus: true, placeholder: "telegram bot" });
    const user = h("input", { id: ids.user, class: "input", type: "text", autocomplete: "off", spellcheck: "false", placeholder: "any" });
    const tier = h("input", { id: ids.tier, class: "input", type: "text", autocomplete: "off", spellcheck: "false", placeholder: "the server's default" });
    const boxes = SCOPES.map(([scope]) => h("input", { type: "checkbox", value: scope, checked: scope === "chat" }));
    openDialog({
      title: "Make a key",
      body: h(
        "div",
        { class: "stack" },
        h("label", { class: "label", for: ids.name }, "Name"), name,
        h("fieldset", { class: "scopes" }, h("legend", { class: "label" }, "It may"), SCOPES.map(([scope, what], at) => h("label", { class: "check" }, boxes[at], h("span", null, h("code", null, scope), ` ${what}`)))),
        h("label", { class: "label", for: ids.user }, "Only for the person with this id"), user,
        h("label", { class: "label", for: ids.tier }, "Tier"), tier,
      ),
      actions: [
        { label: "Cancel", kind: "quiet" },
        {
          label: "Make it", kind: "primary",
          run: async () => {
            const scopes = boxes.filter((one) => one.checked).map((one) => one.value);
            if (!name.value.trim()) {
              name.focus();
              return false;
            }
            if (!scopes.length) throw new ApiError(400, "invalid_request", "Choose at least one thing the key may do.");
            const made = await this.app.api.addKey({ name: name.value.trim(), scopes, ...(user.value.trim() ? { user_id: user.value.trim() } : {}), ...(tier.value.trim() ? { tier: tier.value.trim() } : {}) });
            await this.load();
            queueMicrotask(() => showSecret({ title: `The key “${made.key.name}”`, text: "Copy it now: it is shown only this once, and only its fingerprint is kept.", secret: made.secret }));
            return true;
          },
        },
      ],
    });
  }
}
