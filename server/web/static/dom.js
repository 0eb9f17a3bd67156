// Building nodes. Text always goes in as text: no function here takes markup.

const AS_PROPERTY = new Set(["value", "checked", "disabled", "hidden", "readOnly", "selected", "open", "multiple"]);

/**
 * Makes an element. `onclick` and the like become listeners; undefined, null and false leave an attribute out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, unknown>|null} [props]
 * @param {...unknown} children  nodes, strings, numbers, arrays of those; null, undefined and false are skipped
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function" && name.startsWith("on")) {
      node.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    } else if (AS_PROPERTY.has(name)) {
      Reflect.set(node, name, value);
    } else {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  append(node, children);
  return node;
}

/** @param {Element} node @param {unknown[]} children */
export function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
}

/** Replaces everything in `node`. @param {Element} node @param {...unknown} children */
export function fill(node, ...children) {
  node.replaceChildren();
  append(node, children);
}

/** Makes `host` hold exactly these nodes, moving as few as possible: one that stays keeps its focus. @param {HTMLElement} host @param {HTMLElement[]} wanted */
export function settle(host, wanted) {
  const keep = new Set(wanted);
  for (const node of [...host.children]) if (!keep.has(/** @type {HTMLElement} */ (node))) node.remove();
  wanted.forEach((node, at) => {
    if (host.children[at] !== node) host.insertBefore(node, host.children[at] ?? null);
  });
}

/** @param {string} id @returns {HTMLElement} */
export function byId(id) {
  const node = document.getElementById(id);
  if (!node) throw new Error(`the page has no #${id}`);
  return node;
}

let counter = 0;

/** An id for aria-* references, unique in this page. @param {string} prefix */
export function uid(prefix) {
  counter += 1;
  return `${prefix}-${counter}`;
}

/** Lets a screen reader say something once, politely. @param {string} text */
export function announce(text) {
  const region = byId("announce");
  region.textContent = "";
  // Two equal sentences in a row are only read when the region was empty in between.
  setTimeout(() => {
    region.textContent = text;
  }, 60);
}

/** Puts `text` on the clipboard, also where the Clipboard API is withheld (plain HTTP in a home network). @param {string} text */
export async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = h("textarea", { class: "sr-only", value: text, "aria-hidden": "true", tabindex: "-1" });
  const host = document.querySelector("dialog[open]") ?? document.body;
  const before = /** @type {HTMLElement|null} */ (document.activeElement);
  host.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  before?.focus();
  if (!done) throw new Error("The browser did not allow copying.");
}

/** Hands the person a file. @param {Blob} blob @param {string} name */
export function saveFile(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** A textarea that grows with its text up to the CSS max-height. @param {HTMLTextAreaElement} area */
export function autoGrow(area) {
  const fit = () => {
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight + area.offsetHeight - area.clientHeight}px`;
  };
  area.addEventListener("input", fit);
  requestAnimationFrame(fit);
  return fit;
}
