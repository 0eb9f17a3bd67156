// Where a person writes. Keeps a draft per character in this tab.

import { autoGrow, fill, h, uid } from "../dom.js";
import { byteLength } from "../format.js";
import { icon } from "../icons.js";
import { session } from "../storage.js";

export class Composer {
  #area;
  #button;
  #fit;
  #note;
  #ai;
  #picture;
  #draft = "";
  #busy = false;

  /**
   * @param {{limit: number, discloses: boolean, send: (text: string) => void, picture: (scene: string) => void, stop: () => void, editLast: () => boolean}} options  `limit` in bytes; `discloses`: it says that an AI answers
   */
  constructor({ limit, discloses, send, picture, stop, editLast }) {
    this.limit = limit;
    this.send = send;
    this.stop = stop;
    const id = uid("message");
    this.#ai = h("p", { class: "composer__ai", dir: "auto", hidden: !discloses });
    this.#note = h("p", { class: "composer__note", id: `${id}-note`, role: "alert" });
    this.#area = h("textarea", {
      id, class: "composer__text", rows: "1", dir: "auto", enterkeyhint: "send", autocomplete: "off", "aria-describedby": `${id}-hint ${id}-note`,
      oninput: () => this.#changed(),
    });
    this.#button = h("button", { type: "submit", class: "composer__send" });
    this.#picture = h("button", { type: "button", class: "icon-button composer__picture", "aria-label": "Ask for a picture", title: "Ask for a picture; what is written here says where and how", onclick: () => this.#submit(picture) }, icon("camera"));
    this.#area.addEventListener("keydown", (event) => {
      // While an input method composes, Enter chooses a word.
      if (event.isComposing || event.keyCode === 229) return;
      if (event.key === "Enter" && !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        this.#submit();
      } else if (event.key === "ArrowUp" && !this.#area.value && editLast()) {
        event.preventDefault();
      }
    });
    this.el = h(
      "form",
      { class: "composer", novalidate: true },
      h("label", { class: "sr-only", for: id }, "Message"),
      h("div", { class: "composer__box" }, this.#area, this.#picture, this.#button),
      this.#note,
      this.#ai,
      h("p", { class: "composer__hint", id: `${id}-hint` }, h("kbd", null, "Enter"), " sends, ", h("kbd", null, "Shift"), " + ", h("kbd", null, "Enter"), " makes a new line"),
    );
    this.el.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#busy) this.stop();
      else this.#submit();
    });
    this.#fit = autoGrow(this.#area);
    this.setBusy(false);
  }

  /** @param {string} draft  whose it is @param {string} name  who is written to */
  show(draft, name) {
    this.#draft = draft;
    this.#area.value = session.get(`draft.${draft}`) ?? "";
    this.#area.placeholder = name.length > 32 ? "Write a message" : `Write to ${name}`;
    this.#note.textContent = "";
    this.#ai.textContent = `${name.length > 60 ? "This character" : name} is an AI, not a person.`;
    requestAnimationFrame(() => this.#fit());
    this.#paint();
  }

  /** @param {boolean} busy  a reply is being written: the button stops it */
  setBusy(busy) {
    if (this.#busy === busy && this.#button.childElementCount) return;
    this.#busy = busy;
    fill(this.#button, icon(busy ? "stop" : "send"));
    this.#button.setAttribute("aria-label", busy ? "Stop the reply" : "Send");
    this.#button.title = busy ? "Stop the reply (Esc)" : "Send";
    this.#button.classList.toggle("composer__send--stop", busy);
    this.#paint();
  }

  focus() {
    this.#area.focus({ preventScroll: true });
  }

  #changed() {
    session.set(`draft.${this.#draft}`, this.#area.value);
    this.#note.textContent = "";
    this.#paint();
  }

  #paint() {
    this.#button.disabled = !this.#busy && !this.#area.value.trim();
    this.#picture.disabled = this.#busy;
  }

  /** @param {(text: string) => void} [act]  asks for a picture, for which nothing has to be written */
  #submit(act = this.send) {
    const text = this.#area.value.trim();
    if ((!text && act === this.send) || this.#busy) return;
    const size = byteLength(text);
    if (size > this.limit) {
      this.#note.textContent = `This is too long to send: ${size.toLocaleString()} of at most ${this.limit.toLocaleString()} bytes. Shorten it, or send it in parts.`;
      return;
    }
    this.#area.value = "";
    this.#fit();
    this.#changed();
    act(text);
  }
}
