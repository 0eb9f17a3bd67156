// How one preview was made: its preset or tuning, its models by content, and the graph that was run.

import { sentence } from "../../api.js";
import { openDialog } from "../../dialog.js";
import { h } from "../../dom.js";
import { loadInto } from "../../panel.js";

const GRAPHS = new Set(["workflow", "graph"]);

/** @param {import("../../api.js").Api} api @param {string} key */
export function showRecord(api, key) {
  const body = h("div", { class: "stack" });
  openDialog({ title: "How it was made", body, wide: true });
  void loadInto(body, async () => {
    const record = await api.previewRecord(key);
    const { preview = {}, provenance = {}, ...rest } = record;
    const rows = Object.entries({ ...preview, ...provenance, ...rest }).filter(([name]) => !GRAPHS.has(name));
    const graph = record.workflow ?? record.graph;
    return [
      h("dl", { class: "pairs" }, rows.map(([name, value]) => h("div", null, h("dt", null, name.replace(/_/g, " ")), h("dd", { dir: "auto" }, written(value))))),
      graph && h("details", null, h("summary", null, "The graph"), h("pre", { class: "record", tabindex: "0" }, JSON.stringify(graph, null, 1))),
    ];
  }, sentence);
}

/** @param {unknown} value @returns {string} */
function written(value) {
  if (value === null || value === undefined || value === "") return "none";
  if (Array.isArray(value)) return value.map(written).join(", ") || "none";
  if (typeof value === "object") return Object.entries(value).map(([name, one]) => `${name.replace(/_/g, " ")}: ${written(one)}`).join(" · ") || "none";
  return String(value);
}
