// A picture in a box of fixed shape: what is there of it, how far it is, and what it says meanwhile.

import { fill, h } from "../dom.js";
import { onItsWay, stateWords } from "./words.js";

/** @typedef {import("../../types.js").PictureState} PictureState */

const SHAPE = "832 / 1216"; // of a picture whose size is not known yet

export class PictureBox {
  /** @type {string} */
  #shown = "";
  #image;
  #button;
  #veil;
  #bar;
  #words;

  /**
   * @param {{alt: string, none?: string, open?: (url: string) => void}} how
   *   `alt` tells the picture; `none` is said of one that nobody asked for; `open` shows it large
   */
  constructor({ alt, none, open }) {
    this.alt = alt;
    this.none = none;
    this.#image = h("img", { class: "picture__image", alt: "", loading: "lazy", decoding: "async", draggable: "false", hidden: true });
    this.#bar = h("progress", { class: "picture__bar", max: "1", "aria-label": `How far the picture is: ${alt}` });
    this.#words = h("p", { class: "picture__words", dir: "auto" });
    this.#veil = h("div", { class: "picture__veil" }, this.#bar, this.#words);
    this.#button = open ? h("button", { type: "button", class: "picture__open", "aria-label": `Show large: ${alt}`, onclick: () => open(this.#shown) }, this.#image) : null;
    this.el = h("div", { class: "picture" }, this.#button ?? this.#image, this.#veil);
    this.el.style.aspectRatio = SHAPE;
    this.#image.addEventListener("error", () => { this.#image.hidden = true; });
  }

  /** @param {PictureState} picture @param {string|null} [instead]  what to show while there is no picture */
  update(picture, instead = null) {
    const url = picture.state === "ready" ? (picture.url ?? null) : null;
    if (picture.width && picture.height) this.el.style.aspectRatio = `${picture.width} / ${picture.height}`;
    this.el.dataset.state = picture.state;
    if (url) this.#show(url, this.alt);
    else if (!onItsWay(picture) || !this.#shown.startsWith("data:")) this.#show(instead ?? "", "");
    this.#bar.hidden = picture.state !== "running";
    this.#bar.value = picture.share ?? 0;
    this.#words.textContent = stateWords(picture, this.none);
    this.#veil.hidden = !this.#words.textContent;
    if (this.#button) this.#button.disabled = !url;
  }

  /** A live frame of the render. @param {string} url */
  frame(url) {
    this.el.classList.add("picture--live");
    this.#show(url, "");
  }

  /** @param {string} url @param {string} alt */
  #show(url, alt) {
    if (!url.startsWith("data:")) this.el.classList.remove("picture--live");
    this.#image.alt = alt;
    if (url === this.#shown) return;
    this.#shown = url;
    this.#image.hidden = !url;
    if (url) this.#image.src = url;
    else this.#image.removeAttribute("src");
  }
}

/** Shows a picture as large as the window allows. @param {typeof import("../dialog.js").openDialog} openDialog @param {string} title @param {string} url @param {import("../dialog.js").DialogAction[]} [actions] */
export function showLarge(openDialog, title, url, actions = []) {
  const body = h("div", { class: "picture-large" });
  fill(body, h("img", { src: url, alt: title, class: "picture-large__image" }));
  openDialog({ title, body, wide: true, actions });
}
