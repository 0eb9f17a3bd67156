// Text while it is still coming: enough of markdown to read calmly, built from text nodes only. The finished reply is
// rendered by the server.

import { h } from "../dom.js";

/**
 * Blocks of a text: fenced code, or paragraphs parted by blank lines.
 * @param {string} text
 * @returns {{code: boolean, text: string}[]}
 */
export function blocks(text) {
  /** @type {{code: boolean, text: string}[]} */
  const out = [];
  /** @type {string[]} */
  let lines = [];
  let code = false;
  const flush = () => {
    const joined = code ? lines.join("\n") : lines.join("\n").trim();
    if (joined) out.push({ code, text: joined });
    lines = [];
  };
  for (const line of text.split("\n")) {
    if (/^\s*(```|~~~)/.test(line)) {
      flush();
      code = !code;
    } else if (!code && !line.trim()) {
      flush();
    } else {
      lines.push(line);
    }
  }
  flush();
  return out;
}

/**
 * Pieces of one paragraph. An emphasis that is still open is shown as if it were closed, so that nothing jumps.
 * @param {string} text
 * @returns {(Node|string)[]}
 */
export function inline(text) {
  /** @type {(Node|string)[]} */
  const out = [];
  const pattern = /`([^`\n]+)`|\*\*(?=\S)([\s\S]+?)(?:\*\*|$)|(?<![\w*])\*(?=[^\s*])([\s\S]+?)(?:\*|$)|(?<![\w_])_(?=[^\s_])([\s\S]+?)(?:_(?!\w)|$)/g;
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    out.push(text.slice(at, match.index));
    const [whole, code, strong, star, under] = match;
    if (code !== undefined) out.push(h("code", null, code));
    else if (strong !== undefined) out.push(h("strong", null, strong));
    else out.push(h("em", null, star ?? under));
    at = match.index + whole.length;
  }
  out.push(text.slice(at));
  return out.filter((one) => one !== "");
}

/** Shows a growing text in `host`; only blocks that changed are built again. */
export class LiveText {
  /** @type {string[]} */
  #shown = [];
  /** @type {number} */
  #frame = 0;
  #text = "";

  /** @param {HTMLElement} host */
  constructor(host) {
    this.host = host;
  }

  /** @param {string} text */
  set(text) {
    this.#text = text;
    this.#frame ||= requestAnimationFrame(() => this.flush());
  }

  flush() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    const wanted = blocks(this.#text);
    wanted.forEach((block, at) => {
      const source = `${block.code ? "c" : "p"}${block.text}`;
      if (this.#shown[at] === source) return;
      const node = block.code ? h("pre", { tabindex: "0" }, h("code", null, block.text)) : h("p", { dir: "auto", class: "live" }, inline(block.text));
      const old = this.host.children[at];
      if (old) old.replaceWith(node);
      else this.host.append(node);
      this.#shown[at] = source;
    });
    while (this.host.children.length > wanted.length) this.host.lastElementChild?.remove();
    this.#shown.length = wanted.length;
  }

  stop() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }
}
