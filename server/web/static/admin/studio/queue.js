// Renders: what waits and runs, and what came to nothing, which can be tried again.

import { sentence } from "../../api.js";
import { h } from "../../dom.js";
import { clock, exactly } from "../../format.js";
import { loadInto, nothing } from "../../panel.js";
import { attempt, toast } from "../../toast.js";
import { itemTitles } from "./names.js";
import { showRecord } from "./record.js";

/** @typedef {import("../../../types.js").Job} Job */

const STATES = /** @type {const} */ ([["waiting", "Waiting"], ["running", "Running"], ["dead", "Given up"], ["failed", "Failed"], ["done", "Done"]]);

export class QueueSection {
  #list;
  #tabs;
  /** @type {string} */
  #state = "waiting";

  /** @param {import("../../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.#list = h("div", null);
    this.#tabs = STATES.map(([state, label]) => h("button", { type: "button", class: "filter", "aria-pressed": "false", onclick: () => { this.#state = state; void this.load(); } }, label));
    this.el = h(
      "section",
      { class: "admin__part" },
      h("div", { class: "admin__head" }, h("h2", null, "Renders"), h("button", { type: "button", class: "button button--small", onclick: () => void this.load() }, "Look again")),
      h("div", { class: "shop__chips", role: "group", "aria-label": "Which renders" }, this.#tabs),
      this.#list,
    );
  }

  load() {
    const state = this.#state;
    this.#tabs.forEach((one, at) => one.setAttribute("aria-pressed", String(STATES[at][0] === state)));
    return loadInto(this.#list, async () => {
      const { jobs } = await this.app.api.jobs(state);
      const titles = jobs.length ? await itemTitles(this.app.api) : new Map();
      if (state !== this.#state) return undefined;
      return jobs.length ? h("ul", { class: "rows" }, jobs.map((/** @type {Job} */ one) => this.#row(one, titles))) : nothing("None.");
    }, sentence);
  }

  /** @param {Job} job @param {Map<string, string>} titles */
  #row(job, titles) {
    const who = this.app.shelf.find(job.character_id)?.name ?? job.character_id;
    const what = job.item_id && (titles.get(job.item_id) ?? job.item_id);
    const over = ["dead", "failed", "done", "cancelled"].includes(job.state);
    return h(
      "li",
      { class: "rows__one" },
      h(
        "div",
        { class: "rows__text" },
        h("p", { class: "rows__name", dir: "auto" }, what ? `${who} in ${what}` : who, h("span", { class: "chip" }, job.line === "prerender" ? "ahead of time" : "a person waits"), job.state === "running" && h("span", { class: "chip" }, `${Math.round(job.share * 100)} %`)),
        h("p", { class: "rows__line" }, h("time", { datetime: job.created, title: exactly(job.created) }, clock(job.created)), job.host && ` · at ${job.host}`, (job.attempts ?? 0) > 1 && ` · try ${job.attempts}`, job.waiting && ` · ${job.waiting.replace("_", " ")}`),
        job.error && h("p", { class: "rows__why", dir: "auto" }, job.error.message),
      ),
      job.state === "done" && h("button", { type: "button", class: "button button--small", onclick: () => showRecord(this.app.api, job.key) }, "How it was made"),
      (job.state === "dead" || job.state === "failed") && h("button", { type: "button", class: "button button--small", onclick: () => void this.#replay(job) }, "Try again"),
      !over && h("button", { type: "button", class: "button button--small", onclick: () => void this.#cancel(job) }, "Cancel"),
    );
  }

  /** @param {Job} job */
  async #replay(job) {
    await attempt(async () => {
      await this.app.api.replayJob(job.id);
      toast("It is in line again.");
      await this.load();
    });
  }

  /** @param {Job} job */
  async #cancel(job) {
    await attempt(async () => {
      await this.app.api.endJob(job.id);
      await this.load();
    });
  }
}
