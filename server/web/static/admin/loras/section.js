// The LoRAs of characters: which version is live, going back, and two versions side by side.

import { sentence } from "../../api.js";
import { openDialog } from "../../dialog.js";
import { h } from "../../dom.js";
import { ago, exactly, plural } from "../../format.js";
import { loadInto, nothing } from "../../panel.js";
import { attempt, toast } from "../../toast.js";
import { compare } from "./grid.js";

/** @typedef {import("../../../types.js").LoraLine} LoraLine */

export class LorasSection {
  #list;

  /** @param {import("../../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.#list = h("div", null);
    this.el = h("section", { class: "admin__part" }, h("div", { class: "admin__head" }, h("h2", null, "LoRAs")), this.#list);
  }

  load() {
    return loadInto(this.#list, async () => {
      const characters = byCharacter((await this.app.api.loras()).loras);
      if (!characters.length) return nothing("There is no LoRA yet. Add one from the shell: vestige lora add NAME FILE.");
      return h("ul", { class: "rows" }, characters.map((versions) => this.#row(versions)));
    }, sentence);
  }

  /** @param {LoraLine[]} versions  newest first; one of them is live */
  #row(versions) {
    const { name } = versions[0];
    const live = versions.find((one) => one.live);
    return h(
      "li",
      { class: "rows__one" },
      h(
        "div",
        { class: "rows__text" },
        h("p", { class: "rows__name" }, h("span", { dir: "auto" }, name), live && h("span", { class: "chip" }, `v${live.version} is live`)),
        h("p", { class: "rows__line" }, [plural(versions.length, "version"), live && facts(live)].filter(Boolean).join(" · ")),
      ),
      h("button", { type: "button", class: "button button--small", "aria-label": `Versions of ${name}`, onclick: () => this.#versions(name) }, "Versions"),
      live && h("button", { type: "button", class: "button button--small", "aria-label": `Go back from v${live.version} of ${name}`, onclick: () => void this.#back(live) }, "Go back"),
    );
  }

  /** @param {LoraLine} live */
  async #back(live) {
    await attempt(async () => {
      const { to } = await this.app.api.rollbackLora(live.name, live.version);
      toast(`v${to} of ${live.name} is live again. Its pictures follow.`);
      await this.load();
    });
  }

  /** @param {string} name */
  #versions(name) {
    const list = h("div", null);
    const show = () => loadInto(list, async () => {
      const { versions } = await this.app.api.lora(name);
      const live = /** @type {LoraLine} */ (versions.find((/** @type {LoraLine} */ one) => one.live));
      return h("ul", { class: "rows" }, versions.map((/** @type {LoraLine} */ one) => this.#version(one, live, show)));
    }, sentence);
    openDialog({ title: `Versions of ${name}`, wide: true, body: list, actions: [{ label: "Close", kind: "quiet" }] });
    void show();
  }

  /** @param {LoraLine} one @param {LoraLine} live @param {() => void} show */
  #version(one, live, show) {
    const label = `v${one.version}`;
    return h(
      "li",
      { class: "rows__one" },
      h(
        "div",
        { class: "rows__text" },
        h("p", { class: "rows__name" }, label, one.live && h("span", { class: "chip" }, "live")),
        h("p", { class: "rows__line" }, `${facts(one)} · ${one.sha256.slice(0, 10)} · `, h("time", { datetime: one.added, title: exactly(one.added) }, `added ${ago(one.added)}`)),
      ),
      !one.live && h("button", { type: "button", class: "button button--small", "aria-label": `Compare ${label} with v${live.version}`, onclick: () => compare(this.app, one, live) }, "Compare"),
      !one.live && h("button", { type: "button", class: "button button--small", "aria-label": `Make ${label} live`, onclick: () => void this.#promote(one, live, show) }, "Make it live"),
    );
  }

  /** @param {LoraLine} one @param {LoraLine} live @param {() => void} show */
  async #promote(one, live, show) {
    await attempt(async () => {
      await this.app.api.promoteLora(one.name, one.version, live.version);
      toast(`v${one.version} of ${one.name} is live. Its pictures follow.`);
      await this.load();
    });
    show();
  }
}

/** @param {LoraLine[]} lines  by name @returns {LoraLine[][]} */
function byCharacter(lines) {
  /** @type {Map<string, LoraLine[]>} */
  const found = new Map();
  for (const line of lines) found.set(line.name, [...(found.get(line.name) ?? []), line]);
  return [...found.values()];
}

/** @param {LoraLine} one */
function facts(one) {
  const numbers = [one.dim !== null && `dim ${one.dim}`, one.alpha !== null && `alpha ${one.alpha}`, one.steps !== null && plural(one.steps, "step")];
  return [one.base_family ?? "base not named", ...numbers, `${(one.bytes / 1e6).toFixed(1)} MB`].filter(Boolean).join(", ");
}
