// The ComfyUI hosts: how each does, what it has loaded, how much waits there; and a way to let one run empty.

import { sentence } from "../../api.js";
import { fill, h } from "../../dom.js";
import { duration, plural } from "../../format.js";
import { loadInto, nothing } from "../../panel.js";
import { attempt, toast } from "../../toast.js";

/** @typedef {import("../../../types.js").Host} Host */

const LOOK_MS = 5_000;
const PACKS = { vestige: "Vestige's nodes", ipadapter_plus: "only IPAdapter_plus", none: "no outfit nodes" };

export class HostsSection {
  #list;
  #timer;
  #shown = "";

  /** @param {import("../../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.#list = h("div", null);
    this.el = h("section", { class: "admin__part" }, h("div", { class: "admin__head" }, h("h2", null, "Hosts")), this.#list);
    this.#timer = setInterval(() => void this.#look(), LOOK_MS);
  }

  close() {
    clearInterval(this.#timer);
  }

  load() {
    return loadInto(this.#list, async () => this.#show((await this.app.api.hosts()).hosts), sentence);
  }

  /** Again, in silence: what is on screen stays while the server is away, and where nothing has changed. */
  async #look() {
    if (document.hidden || this.#list.contains(document.activeElement)) return;
    try {
      const { hosts } = await this.app.api.hosts();
      const shown = JSON.stringify(hosts);
      if (shown !== this.#shown) fill(this.#list, this.#show(hosts));
    } catch {
      // The next look says more.
    }
  }

  /** @param {Host[]} hosts */
  #show(hosts) {
    this.#shown = JSON.stringify(hosts);
    if (!hosts.length) return nothing("No ComfyUI host is set up, so no picture is made. Name one in the settings: comfy_hosts.");
    return h("ul", { class: "rows" }, hosts.map((one) => this.#row(one)));
  }

  /** @param {Host} host */
  #row(host) {
    const [light, state] = standing(host);
    const facts = [
      host.version && `ComfyUI ${host.version}`,
      host.healthy && PACKS[host.pack],
      host.healthy && `${plural(host.queue, "render")} of ours there`,
      host.strangers > 0 && `${host.strangers} of others`,
      host.seconds !== null && `about ${duration(host.seconds * 1_000)} a picture`,
      ...host.devices,
    ];
    return h(
      "li",
      { class: "rows__one" },
      h(
        "div",
        { class: "rows__text" },
        h("p", { class: "rows__name" }, h("span", { class: `light light--${light}`, "aria-hidden": "true" }), h("span", { dir: "auto" }, host.name), h("span", { class: "chip" }, state)),
        h("p", { class: "host__facts" }, facts.filter(Boolean).map((one) => h("span", null, one))),
        host.warm.length > 0 && h("p", { class: "rows__line", dir: "auto" }, `Loaded: ${host.warm.map(brief).join(", ")}`),
        host.why && h("p", { class: "rows__why", dir: "auto" }, host.why),
        host.problems.map((one) => h("p", { class: "rows__why", dir: "auto" }, one)),
      ),
      h("button", { type: "button", class: "button button--small", "aria-pressed": String(host.drained), "aria-label": `Let ${host.name} run empty`, onclick: () => void this.#drain(host) }, host.drained ? "Take work again" : "Let it run empty"),
    );
  }

  /** @param {Host} host */
  async #drain(host) {
    await attempt(async () => {
      await this.app.api.drain(host.name, !host.drained);
      toast(host.drained ? `${host.name} takes work again.` : `${host.name} finishes what it has and takes nothing new.`);
      await this.load();
    });
  }
}

/** @param {Host} host @returns {["good"|"bad"|"rest", string]} */
function standing(host) {
  if (host.drained) return ["rest", host.queue > 0 ? "running empty" : "empty"];
  if (!host.healthy) return ["bad", "no answer"];
  if (host.benched_until !== null && Date.parse(host.benched_until) > Date.now()) return ["bad", "resting after a failure"];
  return host.usable ? ["good", "at work"] : ["bad", "not usable"];
}

/** A model by what a person knows of it: its folder and file, or where its content is known, the first digits. @param {string} content */
const brief = (content) => content.replace(/^[^/]+\/name:/u, "").replace(/(sha256:[0-9a-f]{8})[0-9a-f]+/u, "$1…");
