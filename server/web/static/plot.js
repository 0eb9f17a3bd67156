// Small plots as inline SVG, each with the same numbers as a table for those who do not see it.

import { h } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";

/** @param {string} tag @param {Record<string, string|number>} attributes @param {...(Node|string)} children */
function s(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
}

/**
 * A bar for each point. The highest nearly reaches the top; what is above nothing is at least a hair high.
 * @param {{title: string, what: string, points: {label: string, value: number}[], say: (value: number) => string}} plot
 *   `what`: the column's name in the table; `say`: a value as people read it
 */
export function bars({ title, what, points, say }) {
  const top = Math.max(...points.map((one) => one.value), 0);
  const [step, height] = [10, 60];
  const width = points.length * step;
  const columns = points.map(({ label, value }, at) => {
    const tall = top > 0 && value > 0 ? Math.max(1, (value / top) * (height - 3)) : 0;
    const slot = s("rect", { class: "plot__slot", x: at * step, y: 0, width: step, height });
    return s("g", {}, s("title", {}, `${label}: ${say(value)}`), slot, s("rect", { class: "plot__bar", x: at * step + 1.5, y: height - tall, width: step - 3, height: tall }));
  });
  return h(
    "figure",
    { class: "plot" },
    h("figcaption", { class: "plot__title" }, title, h("span", { class: "plot__top" }, top > 0 && `highest ${say(top)}`)),
    s("svg", { class: "plot__area", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" }, ...columns),
    h("p", { class: "plot__ends", "aria-hidden": "true" }, h("span", null, points[0]?.label), h("span", null, points.at(-1)?.label)),
    h("details", { class: "plot__table" }, h("summary", null, "As a table"), table(["", what], points.map(({ label, value }) => [label, say(value)]))),
  );
}

/**
 * How much of a ceiling is spent and put aside.
 * @param {{label: string, spent: number, held: number, ceiling: number|null, say: (value: number) => string}} gauge
 */
export function gauge({ label, spent, held, ceiling, say }) {
  const aside = held > 0 ? `, ${say(held)} put aside for replies under way` : "";
  const text = ceiling === null ? `${say(spent)} spent, no ceiling${aside}` : `${say(spent)} of ${say(ceiling)} spent${aside}`;
  const share = (/** @type {number} */ value) => (ceiling ? Math.min(100, (value / ceiling) * 100) : value > 0 || ceiling === 0 ? 100 : 0);
  const full = ceiling !== null && spent + held >= ceiling;
  return h(
    "div",
    { class: "gauge" },
    h("p", { class: "gauge__label", dir: "auto" }, label),
    h("p", { class: "gauge__text" }, text),
    ceiling !== null &&
      h(
        "div",
        { class: `gauge__track${full ? " gauge__track--full" : ""}`, role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(share(spent)), "aria-valuetext": text },
        s("svg", { viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" }, s("rect", { class: "gauge__held", x: 0, y: 0, width: share(spent + held), height: 4 }), s("rect", { class: "gauge__spent", x: 0, y: 0, width: share(spent), height: 4 })),
      ),
  );
}

/** @param {string[]} heads @param {unknown[][]} rows  the first cell of each names it */
export function table(heads, rows) {
  return h(
    "div",
    { class: "table", tabindex: "0", role: "group", "aria-label": heads.filter(Boolean).join(", ") },
    h(
      "table",
      null,
      h("thead", null, h("tr", null, heads.map((head) => (head ? h("th", { scope: "col" }, head) : h("td", null))))),
      h("tbody", null, rows.map(([first, ...rest]) => h("tr", null, h("th", { scope: "row", dir: "auto" }, first), rest.map((cell) => h("td", null, cell))))),
    ),
  );
}
