// Money: today against the ceilings, the days before, and who and what it went to.

import { sentence } from "../../api.js";
import { h, saveFile } from "../../dom.js";
import { everyDay, money, plural, utcDay } from "../../format.js";
import { icon } from "../../icons.js";
import { loadInto, nothing } from "../../panel.js";
import { bars, gauge, table } from "../../plot.js";
import { attempt } from "../../toast.js";

/** @typedef {import("../../../types.js").AdminUsage} AdminUsage */

export class SpendingSection {
  #body;

  /** @param {import("../../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.#body = h("div", { class: "stack stack--wide" });
    this.el = h(
      "section",
      { class: "admin__part" },
      h(
        "div",
        { class: "admin__head" },
        h("h2", null, "Spending"),
        h("button", { type: "button", class: "button button--small", onclick: () => void attempt(() => this.#download()) }, icon("download"), "Every call as CSV"),
      ),
      this.#body,
    );
  }

  load() {
    return loadInto(this.#body, async () => this.#show(await this.app.api.adminUsage()), sentence);
  }

  async #download() {
    const { blob, name } = await this.app.api.usageTable();
    saveFile(blob, name);
  }

  /** @param {AdminUsage} usage */
  #show(usage) {
    const ceilings = usage.today.filter((one) => one.scope === "global" || one.ceiling_microdollars !== null || usage.today.length === 1);
    return [
      h("h3", { class: "admin__sub" }, "Today, in UTC"),
      ceilings.map((one) =>
        gauge({
          label: one.scope === "global" ? "The whole server" : `Tenant ${one.name}`,
          spent: one.spent_microdollars, held: one.held_microdollars, ceiling: one.ceiling_microdollars, say: money,
        }),
      ),
      usage.total.attempts === 0
        ? nothing("No model was called in the last 30 days.")
        : [
            bars({
              title: `${money(usage.total.cost_microdollars)} in 30 days, ${plural(usage.total.attempts, "call")}`,
              what: "Cost",
              points: everyDay(usage.since, usage.until).map((day) => ({ label: utcDay(day), value: usage.days.find((one) => one.day === day)?.cost_microdollars ?? 0 })),
              say: money,
            }),
            breakdown("Models", usage.models.map((one) => [one.model, one])),
            breakdown("Tiers", usage.tiers.map((one) => [one.tier, one])),
            h("h3", { class: "admin__sub" }, "People who cost most"),
            table(["Person", "Cost"], usage.users.slice(0, 20).map((one) => [one.user_id ? (usage.tenants.length > 1 ? `${one.tenant} / ${one.user_id}` : one.user_id) : `deleted (${one.pseudonym})`, money(one.cost_microdollars)])),
          ],
    ];
  }
}

/** @param {string} title @param {[string, import("../../../types.js").Amounts][]} rows */
function breakdown(title, rows) {
  return [
    h("h3", { class: "admin__sub" }, title),
    table(
      [title.slice(0, -1), "Cost", "Calls", "Tokens in", "Tokens out"],
      rows.map(([name, one]) => [name, money(one.cost_microdollars), one.attempts.toLocaleString(), one.prompt_tokens.toLocaleString(), one.completion_tokens.toLocaleString()]),
    ),
  ];
}
