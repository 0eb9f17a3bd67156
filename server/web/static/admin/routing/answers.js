// How well models answer: how often another one had to, and how often one said nothing.

import { sentence } from "../../api.js";
import { h } from "../../dom.js";
import { clock, duration, percent, plural } from "../../format.js";
import { loadInto, nothing } from "../../panel.js";
import { bars, table } from "../../plot.js";

/** @typedef {import("../../../types.js").RoutingReport} RoutingReport */

export class AnswersSection {
  #body;

  /** @param {import("../../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.#body = h("div", { class: "stack stack--wide" });
    this.el = h("section", { class: "admin__part" }, h("div", { class: "admin__head" }, h("h2", null, "Answers")), this.#body);
  }

  load() {
    return loadInto(this.#body, async () => this.#show(await this.app.api.routingReport()), sentence);
  }

  /** @param {RoutingReport} report */
  #show({ total, buckets, models }) {
    if (total.attempts === 0) return nothing("No model was asked in the last 24 hours.");
    return [
      h("p", { class: "hint" }, `${plural(total.turns, "request")} in 24 hours, ${plural(total.unanswered, "request")} without an answer.`),
      bars({
        title: `${percent(total.fallbacks, total.turns)} answered by another model than the first`,
        what: "By another",
        points: buckets.map((one) => ({ label: clock(one.at), value: one.turns ? one.fallbacks / one.turns : 0 })),
        say: (value) => percent(value, 1),
      }),
      bars({
        title: `${percent(total.refused, total.attempts)} of calls refused without a word`,
        what: "Refused",
        points: buckets.map((one) => ({ label: clock(one.at), value: one.attempts ? one.refused / one.attempts : 0 })),
        say: (value) => percent(value, 1),
      }),
      h("h3", { class: "admin__sub" }, "Models"),
      table(
        ["Model", "Mode", "Calls", "Refused", "Failed", "First word", "Now"],
        models.map((one) => [one.model, one.mode ?? "any", one.attempts.toLocaleString(), percent(one.refused, one.attempts), percent(one.failed, one.attempts), one.first_token_ms === null ? "" : duration(one.first_token_ms), one.cooling_until ? `rests until ${clock(one.cooling_until)}` : "in use"]),
      ),
    ];
  }
}
