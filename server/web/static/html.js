// The one place where markup becomes nodes. The server has rendered and cleaned it; this is the second lock.

/** @type {Map<string, string[]>} */
const ALLOWED = new Map(
  Object.entries({
    a: ["href", "title"], b: [], blockquote: [], br: [], code: [], dd: [], del: [], dl: [], dt: [], em: [],
    h1: [], h2: [], h3: [], h4: [], h5: [], h6: [], hr: [], i: [], kbd: [], li: [], mark: [], ol: ["start"], p: [],
    pre: [], q: [], s: [], small: [], span: [], strong: [], sub: [], sup: [], table: [], tbody: [], td: [], th: [],
    thead: [], tr: [], u: [], ul: [],
  }),
);
// With these the content goes too; any other unknown element leaves its text behind.
const DROPPED = new Set(["script", "style", "template", "iframe", "object", "embed", "svg", "math", "noscript", "title", "textarea", "select", "form", "link", "meta", "base"]);
const BLOCKS = new Set(["p", "li", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "td", "th", "dd", "dt"]);

/** @type {{createPolicy: (name: string, rules: {createHTML: (text: string) => string}) => {createHTML: (text: string) => string}}|undefined} */
const trusted = Reflect.get(globalThis, "trustedTypes");
const policy = trusted?.createPolicy("vestige-message", { createHTML: (text) => text });

/**
 * @param {string} html  markup as the server rendered it
 * @returns {DocumentFragment} only elements and attributes of the allow-list
 */
export function messageNodes(html) {
  const template = document.createElement("template");
  template.innerHTML = /** @type {string} */ (/** @type {unknown} */ (policy ? policy.createHTML(html) : html));
  clean(template.content);
  return template.content;
}

/** @param {ParentNode & Node} parent */
function clean(parent) {
  for (const node of [...parent.childNodes]) {
    if (node.nodeType === Node.TEXT_NODE) continue;
    if (!(node instanceof Element)) {
      node.remove();
      continue;
    }
    const tag = node.localName;
    if (DROPPED.has(tag) || node.namespaceURI !== "http://www.w3.org/1999/xhtml") {
      node.remove();
      continue;
    }
    clean(node);
    const attributes = ALLOWED.get(tag);
    if (!attributes) {
      node.replaceWith(...node.childNodes);
      continue;
    }
    for (const { name } of [...node.attributes]) {
      if (!attributes.includes(name)) node.removeAttribute(name);
    }
    if (tag === "a") cleanLink(node);
    if (BLOCKS.has(tag)) node.setAttribute("dir", "auto");
    if (tag === "pre") node.setAttribute("tabindex", "0"); // so that a keyboard can scroll it
  }
}

/** @param {Element} link */
function cleanLink(link) {
  let scheme = "";
  try {
    scheme = new URL(link.getAttribute("href") ?? "").protocol;
  } catch {
    scheme = "";
  }
  if (!["http:", "https:", "mailto:"].includes(scheme)) {
    link.removeAttribute("href");
    return;
  }
  link.setAttribute("target", "_blank");
  link.setAttribute("rel", "noopener noreferrer nofollow ugc");
}
