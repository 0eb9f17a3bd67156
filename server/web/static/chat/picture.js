// The picture of a message: on its way, there, or not to be had.

import { openDialog } from "../dialog.js";
import { announce, fill, h } from "../dom.js";
import { PictureBox, showLarge } from "../pictures/box.js";
import { onItsWay } from "../pictures/words.js";

/**
 * @typedef {import("../../types.js").Picture} Picture
 * @typedef {{again: () => void, cancel: (job: string) => void, wear: (item: string) => void, ended: (key: string) => void}} PictureActions
 */

export class MessagePicture {
  /** @type {Picture|null} */
  #picture = null;
  #following = "";
  #stop = () => undefined;
  #box;
  #caption;
  #ways;

  /** @param {{jobs: import("../pictures/jobs.js").Jobs, name: string, caption: string, actions: PictureActions}} surroundings */
  constructor({ jobs, name, caption, actions }) {
    this.jobs = jobs;
    this.name = name;
    this.actions = actions;
    const alt = plain(caption) || `A picture of ${name}`;
    this.#box = new PictureBox({
      alt,
      none: "This picture was put away. It can be made again.",
      open: (url) => showLarge(openDialog, alt, url, this.#wearable() ? [{ label: "Wear this", kind: "primary", run: () => this.#wear() }] : []),
    });
    this.#caption = h("figcaption", { class: "shot__caption", dir: "auto" }, alt);
    this.#ways = h("p", { class: "msg__ways" });
    this.el = h("figure", { class: "shot" }, this.#box.el, this.#caption, this.#ways);
  }

  /** @param {Picture} picture @param {{last: boolean, busy: boolean, worn: string|null}} context */
  update(picture, { last, busy, worn }) {
    this.#picture = picture;
    this.#box.update(picture);
    const lost = picture.state === "failed" || picture.state === "none";
    fill(
      this.#ways,
      onItsWay(picture) && picture.job_id && h("button", { type: "button", class: "link", onclick: () => this.actions.cancel(String(this.#picture?.job_id)) }, "Cancel"),
      lost && last && h("button", { type: "button", class: "button button--small", disabled: busy, onclick: () => this.actions.again() }, "Try again"),
      picture.state === "ready" && picture.item_id && (picture.item_id === worn
        ? h("span", { class: "shot__worn" }, "Worn now")
        : h("button", { type: "button", class: "button button--small", onclick: () => this.#wear() }, "Wear this")),
    );
    if (onItsWay(picture) && picture.job_id) this.#follow(picture.job_id);
    else this.close();
  }

  #wearable() {
    return this.#picture?.state === "ready" && Boolean(this.#picture.item_id);
  }

  #wear() {
    if (this.#picture?.item_id) this.actions.wear(this.#picture.item_id);
  }

  /** @param {string} job */
  #follow(job) {
    if (this.#following === job) return;
    this.close();
    this.#following = job;
    this.#stop = this.jobs.follow(job, {
      job: ({ state, share, position, waiting, error }) => {
        if (!this.#picture || (state !== "waiting" && state !== "running")) return;
        this.#picture = { ...this.#picture, state, share, position, waiting, error };
        this.#box.update(this.#picture);
      },
      frame: (url) => this.#box.frame(url),
      end: (ended) => {
        this.#following = "";
        if (ended?.state === "done") announce(`${this.name}: the picture is there.`);
        if (this.#picture) this.actions.ended(this.#picture.key);
      },
    });
  }

  /** Stops listening to the render, which goes on without. */
  close() {
    this.#stop();
    this.#stop = () => undefined;
    this.#following = "";
  }
}

/** The caption as a person reads it: a model's has parentheses around it. @param {string} caption */
const plain = (caption) => caption.trim().replace(/^\(([\s\S]*)\)$/, "$1");
