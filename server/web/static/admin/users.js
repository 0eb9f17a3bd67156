// People: each has a sign-in link, a role and a tier.

import { sentence } from "../api.js";
import { confirmDialog, openDialog } from "../dialog.js";
import { h, uid } from "../dom.js";
import { ago, exactly } from "../format.js";
import { icon } from "../icons.js";
import { loadInto } from "../panel.js";
import { menuButton } from "../menu.js";
import { attempt, toast } from "../toast.js";
import { showSecret } from "./secret.js";

const LINK_TEXT = "Give this link to them. It signs in once, on the device where it is opened, and is shown only now.";

export class UsersSection {
  #list;

  /** @param {import("../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.#list = h("div", null);
    this.el = h("section", { class: "admin__part" }, h("div", { class: "admin__head" }, h("h2", null, "People"), h("button", { type: "button", class: "button button--small", onclick: () => this.#edit(null) }, icon("plus"), "Add a person")), this.#list);
  }

  load() {
    return loadInto(this.#list, async () => {
      const { users } = await this.app.api.users();
      return h("ul", { class: "rows" }, users.map((/** @type {import("../../types.js").User} */ user) => this.#row(user)));
    }, sentence);
  }

  /** @param {import("../../types.js").User} user */
  #row(user) {
    const me = user.id === this.app.me.user.id;
    const mayTouch = user.role !== "owner" || me;
    return h(
      "li",
      { class: "rows__one" },
      h("div", { class: "rows__text" }, h("p", { class: "rows__name", dir: "auto" }, user.name, me && h("span", { class: "chip" }, "you")), h("p", { class: "rows__line" }, `${user.role} · ${user.tier} · `, user.last_seen ? h("time", { datetime: user.last_seen, title: exactly(user.last_seen) }, `seen ${ago(user.last_seen)}`) : "never here yet")),
      mayTouch && menuButton({
        label: `Actions for ${user.name}`,
        items: () => [
          mayTouch && { label: "New sign-in link", icon: "share", run: () => void this.#link(user) },
          mayTouch && { label: "Change", icon: "edit", run: () => this.#edit(user) },
          !me && user.role !== "owner" && {
            label: "Delete", icon: "trash", danger: true,
            run: () => void confirmDialog({
              title: `Delete ${user.name}?`, text: "The account, all their conversations and memories will be gone. This cannot be undone.", confirm: "Delete",
              run: async () => {
                await this.app.api.deleteUser(user.id);
                await this.load();
                toast(`${user.name} is gone.`);
              },
            }),
          },
        ],
      }),
    );
  }

  /** @param {import("../../types.js").User} user */
  async #link(user) {
    await attempt(async () => {
      const { link } = await this.app.api.newLink(user.id);
      showSecret({ title: `Sign-in link for ${user.name}`, text: LINK_TEXT, secret: link });
    });
  }

  /** @param {import("../../types.js").User|null} user  null: a new one */
  #edit(user) {
    const owner = user?.role === "owner";
    const ids = { name: uid("name"), role: uid("role"), tier: uid("tier") };
    const name = h("input", { id: ids.name, class: "input", type: "text", dir: "auto", value: user?.name ?? "", required: true, autocomplete: "off", autofocus: true });
    const role = h("select", { id: ids.role, class: "input" }, ["member", "admin"].map((one) => h("option", { value: one, selected: one === (user?.role ?? "member") }, one)));
    const tier = h("input", { id: ids.tier, class: "input", type: "text", value: user?.tier ?? "", placeholder: "the server's default", autocomplete: "off", spellcheck: "false" });
    openDialog({
      title: user ? `Change ${user.name}` : "Add a person",
      body: h(
        "div",
        { class: "stack" },
        h("label", { class: "label", for: ids.name }, "Name"), name,
        !owner && [h("label", { class: "label", for: ids.role }, "Role"), role, h("p", { class: "hint" }, "Admins add people and keys, and share characters.")],
        h("label", { class: "label", for: ids.tier }, "Tier"), tier, h("p", { class: "hint" }, "A plan from the server's settings."),
      ),
      actions: [
        { label: "Cancel", kind: "quiet" },
        {
          label: user ? "Save" : "Add", kind: "primary",
          run: async () => {
            const fields = { name: name.value.trim(), ...(owner ? {} : { role: role.value }), ...(tier.value.trim() ? { tier: tier.value.trim() } : {}) };
            if (!fields.name) {
              name.focus();
              return false;
            }
            if (user) {
              await this.app.api.changeUser(user.id, fields);
              await this.load();
              return true;
            }
            const added = await this.app.api.addUser(fields);
            await this.load();
            queueMicrotask(() => showSecret({ title: `Sign-in link for ${added.user.name}`, text: LINK_TEXT, secret: added.link }));
            return true;
          },
        },
      ],
    });
  }
}
