// Looks: which models a character is rendered with, with which preset, in which scene.

import { sentence } from "../../api.js";
import { openDialog } from "../../dialog.js";
import { fill, h, uid } from "../../dom.js";
import { avatar } from "../../characters/avatar.js";
import { duration, money, plural } from "../../format.js";
import { loadInto, nothing } from "../../panel.js";
import { toast } from "../../toast.js";
import { itemTitles } from "./names.js";
import { showRecord } from "./record.js";

/** @typedef {import("../../../types.js").Look} Look */

/** @type {[keyof Look["scene"], string, string][]} */
const NUMBERS = [["steps", "Steps", "1"], ["cfg", "Guidance", "any"], ["seed", "Seed", "1"], ["width", "Width", "8"], ["height", "Height", "8"]];

export class LooksSection {
  #list;

  /** @param {import("../../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.#list = h("div", null);
    this.el = h("section", { class: "admin__part" }, h("div", { class: "admin__head" }, h("h2", null, "Looks")), this.#list);
  }

  load() {
    return loadInto(this.#list, async () => {
      const characters = this.app.shelf.all.filter((one) => one.editable);
      if (!characters.length) return nothing("There is no character that you could give a look.");
      const looks = new Map((await this.app.api.looks()).map((one) => [one.character, one]));
      return h("ul", { class: "rows" }, characters.map((one) => this.#row(one, looks.get(one.id) ?? null)));
    }, sentence);
  }

  /** @param {import("../../../types.js").CharacterSummary} character @param {Look|null} look */
  #row(character, look) {
    return h(
      "li",
      { class: "rows__one" },
      avatar(character, "small"),
      h("div", { class: "rows__text" }, h("p", { class: "rows__name", dir: "auto" }, character.name), h("p", { class: "rows__line", dir: "auto" }, look ? [look.checkpoint, look.lora && `LoRA ${look.lora}`, look.preset ? `preset ${look.preset}` : "own tuning"].filter(Boolean).join(" · ") : "No look yet, so no picture.")),
      look && h("button", { type: "button", class: "button button--small", "aria-label": `Pictures of ${character.name}`, onclick: () => this.#pictures(character) }, "Pictures"),
      h("button", { type: "button", class: "button button--small", "aria-label": `${look ? "Change" : "Give"} the look of ${character.name}`, onclick: () => this.#edit(character, look) }, look ? "Change" : "Give a look"),
    );
  }

  /** What each preview was made with, and all of them at once ahead of time. @param {import("../../../types.js").CharacterSummary} character */
  #pictures(character) {
    const list = h("div", null);
    const estimate = h("div", { role: "status" });
    openDialog({
      title: `Pictures of ${character.name}`,
      wide: true,
      body: [list, estimate],
      actions: [
        { label: "Close", kind: "quiet" },
        {
          label: "Make all of them", kind: "primary",
          run: async () => {
            const what = { character_id: character.id };
            const { renders, seconds, cost } = (await this.app.api.prerender(what, true)).estimate;
            fill(estimate, renders === 0 ? nothing("All of them are there.") : [
              h("p", { class: "notice" }, h("span", null, `${plural(renders, "picture")}${seconds === null ? "" : `, about ${duration(seconds * 1_000)}`}${cost ? `, ${money(cost)}` : ""}. They come after everything that people wait for.`), h("button", { type: "button", class: "button button--small", onclick: async (/** @type {Event} */ event) => {
                /** @type {HTMLButtonElement} */ (event.currentTarget).disabled = true;
                try {
                  await this.app.api.prerender(what, false);
                  fill(estimate, h("p", { class: "hint" }, "They are in line."));
                } catch (error) {
                  fill(estimate, h("p", { class: "problem", role: "alert" }, sentence(error)));
                }
              } }, "Do it")),
            ]);
            return false;
          },
        },
      ],
    });
    void loadInto(list, async () => {
      const [previews, titles] = await Promise.all([this.app.api.previews(character.id), itemTitles(this.app.api)]);
      if (!previews.length) return nothing("None was made yet.");
      return h("ul", { class: "rows" }, previews.map((one) => h(
        "li",
        { class: "rows__one" },
        one.url && h("img", { class: "rows__thumb", src: one.url, alt: "", loading: "lazy" }),
        h("div", { class: "rows__text" }, h("p", { class: "rows__name", dir: "auto" }, one.item_id ? (titles.get(one.item_id) ?? one.item_id) : "own clothes", one.state !== "ready" && h("span", { class: "chip" }, one.state)), h("p", { class: "rows__line", dir: "auto" }, madeWith(one.made_with)), one.error && h("p", { class: "rows__why", dir: "auto" }, one.error.message)),
        one.state === "ready" && h("button", { type: "button", class: "button button--small", onclick: () => showRecord(this.app.api, one.key) }, "How it was made"),
      )));
    }, sentence);
  }

  /** What there is to choose from, while one may write anything. @param {HTMLElement} checkpoints @param {HTMLElement} loras */
  async #offer(checkpoints, loras) {
    try {
      const [hosts, versions] = await Promise.all([this.app.api.hosts(), this.app.api.loras()]);
      fill(checkpoints, hosts.checkpoints.map((value) => h("option", { value })));
      fill(loras, [...new Set(versions.loras.map((one) => one.name))].map((value) => h("option", { value })));
    } catch {
      // Nothing is offered, and the field is as it was.
    }
  }

  /** @param {import("../../../types.js").CharacterSummary} character @param {Look|null} look */
  #edit(character, look) {
    const field = (/** @type {string} */ label, /** @type {string} */ value, /** @type {Record<string, string>} */ more = {}) => {
      const id = uid("look");
      const input = h("input", { id, class: "input", type: "text", value, autocomplete: "off", spellcheck: "false", ...more });
      return { input, el: h("div", { class: "field" }, h("label", { class: "label", for: id }, label), input) };
    };
    const checkpoints = h("datalist", { id: uid("checkpoints") });
    const loras = h("datalist", { id: uid("loras") });
    const checkpoint = field("Checkpoint, as the hosts list it", look?.checkpoint ?? "", { required: "", list: checkpoints.id });
    const lora = field("Character LoRA (a name, or name@2 for one version)", look?.lora ?? "", { list: loras.id });
    void this.#offer(checkpoints, loras);
    const preset = field("Preset (name@3; takes the place of the tuning)", look?.preset ?? "");
    const prompt = field("Scene", look?.scene.prompt ?? "full body photo, standing, plain background, soft light", { dir: "auto" });
    const negative = field("Not in the picture", look?.scene.negative ?? "blurry, low quality, cropped, deformed", { dir: "auto" });
    const sampler = field("Sampler", look?.scene.sampler ?? "dpmpp_2m");
    const scheduler = field("Scheduler", look?.scene.scheduler ?? "karras");
    const defaults = { steps: 28, cfg: 5, seed: 0, width: 832, height: 1216 };
    const numbers = NUMBERS.map(([name, label, step]) => ({ name, ...field(label, String(look?.scene[name] ?? defaults[/** @type {keyof typeof defaults} */ (name)]), { type: "number", step, min: "0" }) }));
    openDialog({
      title: `The look of ${character.name}`,
      wide: true,
      body: h("div", { class: "stack" }, checkpoints, loras, checkpoint.el, lora.el, preset.el, prompt.el, h("p", { class: "hint" }, "Scene and composition only: the character comes from the LoRA, the garment from the item."), negative.el, h("div", { class: "fields" }, numbers.map((one) => one.el), sampler.el, scheduler.el)),
      actions: [
        { label: "Cancel", kind: "quiet" },
        {
          label: "Save", kind: "primary",
          run: async () => {
            if (!checkpoint.input.value.trim()) {
              checkpoint.input.focus();
              return false;
            }
            const scene = { prompt: prompt.input.value.trim(), negative: negative.input.value.trim(), sampler: sampler.input.value.trim(), scheduler: scheduler.input.value.trim(), ...Object.fromEntries(numbers.map((one) => [one.name, Number(one.input.value)])) };
            const kept = look ? { adapter: look.adapter, encoder: look.encoder } : {};
            await this.app.api.setLook(character.id, { ...kept, checkpoint: checkpoint.input.value.trim(), lora: lora.input.value.trim() || null, preset: preset.input.value.trim() || null, scene, ...(preset.input.value.trim() || !look ? {} : { tuning: look.tuning }) }, look?.etag);
            await this.load();
            toast(`${character.name} has a look.`);
            return true;
          },
        },
      ],
    });
  }
}

/** @param {unknown} made */
function madeWith(made) {
  if (!made) return "";
  if (typeof made === "string") return `Preset ${made}`;
  if (!Object.keys(made).length) return "The tuning that every render begins with";
  return `Tuning: ${Object.entries(made).map(([name, value]) => `${name.replace(/_/g, " ")} ${value}`).join(", ")}`;
}
