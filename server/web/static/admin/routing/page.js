// For admins: what models cost today, against the ceilings, and how well they answer.

import { h } from "../../dom.js";
import { icon } from "../../icons.js";
import { AnswersSection } from "./answers.js";
import { SpendingSection } from "./spending.js";

export class RoutingPage {
  /** @param {import("../../app.js").App} app */
  constructor(app) {
    const allowed = app.me.scopes.includes("admin");
    const sections = allowed ? [new SpendingSection(app), new AnswersSection(app)] : [];
    this.el = h(
      "section",
      { class: "admin" },
      h("header", { class: "page-head" }, h("a", { class: "icon-button", href: "#/", "aria-label": "Back" }, icon("back")), h("h1", { class: "page-head__title" }, "Models and money")),
      h("div", { class: "editor__scroll" }, h("div", { class: "admin__sheet" }, allowed ? sections.map((one) => one.el) : h("p", { class: "problem", role: "alert" }, "Only an admin can see this page."))),
    );
    for (const one of sections) void one.load();
  }
}
