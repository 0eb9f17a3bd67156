// Character cards from a file picker or dropped anywhere on the page.

import { byId, h } from "../dom.js";
import { icon } from "../icons.js";
import { toast, toastError } from "../toast.js";
import { ApiError } from "../api.js";

const LARGEST = 10 * 1024 * 1024;

export class Importer {
  /** @param {import("../app.js").App} app */
  constructor(app) {
    this.app = app;
    this.input = h("input", { type: "file", accept: ".png,.json,.charx,image/png,application/json", multiple: true, class: "sr-only", tabindex: "-1", "aria-label": "Character card files" });
    this.input.addEventListener("change", () => {
      void this.take([...(this.input.files ?? [])]);
      this.input.value = "";
    });
    this.curtain = h("div", { class: "curtain", hidden: true, "aria-hidden": "true" }, h("p", null, icon("upload"), "Let go to import the character"));
    byId("app").append(this.input, this.curtain);
    this.#listen();
  }

  pick() {
    this.input.click();
  }

  /** @param {File[]} files */
  async take(files) {
    let last = null;
    for (const file of files) {
      try {
        last = await this.#one(file);
      } catch (error) {
        toastError(error instanceof ApiError && files.length > 1 ? new ApiError(error.status, error.code, `${file.name}: ${error.message}`) : error);
      }
    }
    if (last) await this.app.router.go({ view: "chat", id: last.id, memory: false });
  }

  /** @param {File} file */
  async #one(file) {
    if (file.size > LARGEST) throw new ApiError(413, "too_large", `${file.name} is too large: a character card can have at most 10 MB.`);
    const type = /\.png$/i.test(file.name) ? "image/png" : /\.charx$/i.test(file.name) ? "application/zip" : file.type || "application/json";
    const character = await this.app.api.importCharacter(file, type);
    this.app.shelf.put(character);
    toast([`${character.name} is here.`, ...character.notices].join(" "));
    return character;
  }

  #listen() {
    const carriesFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
    let depth = 0;
    const stop = new AbortController();
    this.close = () => stop.abort();
    const on = (/** @type {string} */ name, /** @type {(event: DragEvent) => void} */ run) =>
      addEventListener(name, /** @type {EventListener} */ (run), { signal: stop.signal });
    on("dragenter", (event) => {
      if (!carriesFiles(event)) return;
      depth += 1;
      this.curtain.hidden = false;
    });
    on("dragleave", (event) => {
      if (!carriesFiles(event)) return;
      depth = Math.max(0, depth - 1);
      if (!depth) this.curtain.hidden = true;
    });
    on("dragover", (event) => {
      if (carriesFiles(event)) event.preventDefault();
    });
    on("drop", (event) => {
      if (!carriesFiles(event)) return;
      event.preventDefault();
      depth = 0;
      this.curtain.hidden = true;
      void this.take([...(event.dataTransfer?.files ?? [])]);
    });
  }
}
