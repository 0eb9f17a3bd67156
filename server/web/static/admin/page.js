// For admins: who uses this server, and which programs may.

import { h } from "../dom.js";
import { icon } from "../icons.js";
import { KeysSection } from "./keys.js";
import { UsersSection } from "./users.js";

export class AdminPage {
  /** @param {import("../app.js").App} app */
  constructor(app) {
    const allowed = app.me.scopes.includes("admin");
    const users = new UsersSection(app);
    const keys = new KeysSection(app);
    this.el = h(
      "section",
      { class: "admin" },
      h("header", { class: "page-head" }, h("a", { class: "icon-button", href: "#/", "aria-label": "Back" }, icon("back")), h("h1", { class: "page-head__title" }, "People and keys")),
      h("div", { class: "editor__scroll" }, h("div", { class: "admin__sheet" }, allowed ? [users.el, keys.el] : h("p", { class: "problem", role: "alert" }, "Only an admin can see this page."))),
    );
    if (allowed) {
      void users.load();
      void keys.load();
    }
  }
}
