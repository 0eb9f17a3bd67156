// For admins: who makes the pictures, what waits and what failed, and the catalog behind the shop.

import { h } from "../../dom.js";
import { icon } from "../../icons.js";
import { LorasSection } from "../loras/section.js";
import { HostsSection } from "./hosts.js";
import { ItemsSection } from "./items.js";
import { LooksSection } from "./looks.js";
import { QueueSection } from "./queue.js";

export class StudioPage {
  #sections;

  /** @param {import("../../app.js").App} app */
  constructor(app) {
    const allowed = app.me.scopes.includes("admin");
    this.#sections = allowed ? [new HostsSection(app), new QueueSection(app), new LooksSection(app), new LorasSection(app), new ItemsSection(app)] : [];
    this.el = h(
      "section",
      { class: "admin admin--wide" },
      h("header", { class: "page-head" }, h("a", { class: "icon-button", href: "#/", "aria-label": "Back" }, icon("back")), h("h1", { class: "page-head__title" }, "Pictures and hosts")),
      h("div", { class: "editor__scroll" }, h("div", { class: "admin__sheet" }, allowed ? this.#sections.map((one) => one.el) : h("p", { class: "problem", role: "alert" }, "Only an admin can see this page."))),
    );
    for (const one of this.#sections) void one.load();
  }

  close() {
    for (const one of this.#sections) if ("close" in one) one.close();
  }
}
