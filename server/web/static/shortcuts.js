// Keys for people who do not like to reach for the mouse.

import { h } from "./dom.js";
import { openDialog } from "./dialog.js";
import { local } from "./storage.js";

/** @type {[string[], string][]} */
const LIST = [
  [["Enter"], "Send the message"],
  [["Shift", "Enter"], "New line"],
  [["↑"], "In an empty box: edit your last message"],
  [["Esc"], "Stop the reply, leave an edit, close what is open"],
  [["Alt", "↑"], "Previous character"],
  [["Alt", "↓"], "Next character"],
  [["Alt", "M"], "Open or close the memory"],
  [["Alt", "N"], "New character"],
  [["Alt", "R"], "Another version of the last reply"],
  [["Alt", "["], "Previous version of the last reply"],
  [["Alt", "]"], "Next version of the last reply"],
  [["/"], "To the message box"],
  [["?"], "This list"],
];

export class Shortcuts {
  #open = false;

  /** @param {import("./app.js").App} app */
  constructor(app) {
    this.app = app;
    const stop = new AbortController();
    addEventListener("keydown", (event) => this.#key(event), { signal: stop.signal });
    this.close = () => stop.abort();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const target = /** @type {HTMLElement} */ (event.target);
    const writing = target.matches?.("input, textarea, select, [contenteditable]") ?? false;
    if (event.altKey && !event.ctrlKey && !event.metaKey) {
      if (this.#alt(event.code)) event.preventDefault();
      return;
    }
    if (event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") {
      if (this.app.escape()) event.preventDefault();
      return;
    }
    if (writing || local.get("single-keys") === "off") return;
    if (event.key === "?") {
      event.preventDefault();
      this.show();
    } else if (event.key === "/" && this.app.chat.focusComposer()) {
      event.preventDefault();
    }
  }

  /** @param {string} code @returns {boolean} whether the key meant something */
  #alt(code) {
    const { app } = this;
    switch (code) {
      case "ArrowUp":
      case "ArrowDown": {
        const id = app.sidebar.neighbour(code === "ArrowUp" ? -1 : 1);
        if (id) void app.router.go({ view: "chat", id, memory: false });
        return true;
      }
      case "KeyM":
        app.toggleMemory();
        return true;
      case "KeyN":
        void app.router.go({ view: "new" });
        return true;
      case "KeyR":
        app.chat.regenerateLast();
        return true;
      case "BracketLeft":
        app.chat.swipeLast(-1);
        return true;
      case "BracketRight":
        app.chat.swipeLast(1);
        return true;
      default:
        return false;
    }
  }

  show() {
    if (this.#open) return;
    this.#open = true;
    const single = h("input", { type: "checkbox", checked: local.get("single-keys") !== "off", onchange: () => local.set("single-keys", single.checked ? null : "off") });
    const { closed } = openDialog({
      title: "Keyboard shortcuts",
      body: [
        h(
          "dl",
          { class: "keys" },
          LIST.map(([keys, what]) => h("div", { class: "keys__row" }, h("dt", null, keys.map((key, at) => [at > 0 && " + ", h("kbd", null, key)])), h("dd", null, what))),
        ),
        h("label", { class: "check" }, single, "Keys without Alt work outside text boxes"),
      ],
    });
    void closed.then(() => {
      this.#open = false;
    });
  }
}
