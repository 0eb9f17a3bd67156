// Two versions of a LoRA side by side, over the standard prompts and seeds.

import { sentence } from "../../api.js";
import { openDialog } from "../../dialog.js";
import { fill, h } from "../../dom.js";
import { plural } from "../../format.js";

const LOOK_MS = 2_000;

/** @param {import("../../app.js").App} app @param {import("../../../types.js").LoraLine} one @param {import("../../../types.js").LoraLine} live */
export function compare(app, one, live) {
  const said = h("div", { role: "status" }, h("p", { class: "nothing" }, "Asking for the pictures…"));
  const closed = new AbortController();
  openDialog({
    title: `v${one.version} beside v${live.version} of ${one.name}`,
    wide: true,
    body: h("div", { class: "stack" }, h("p", { class: "hint" }, "The same prompts and seeds for both. They are made after everything that people wait for; you can close this and come back."), said),
    actions: [{ label: "Close", kind: "quiet", run: () => { closed.abort(); return true; } }],
  });
  void follow(app, one, live, said, closed.signal);
}

/** @param {import("../../app.js").App} app @param {import("../../../types.js").LoraLine} one @param {import("../../../types.js").LoraLine} live @param {HTMLElement} said @param {AbortSignal} closed */
async function follow(app, one, live, said, closed) {
  try {
    let grid = await app.api.askGrid(one.name, one.version, live.version);
    while (!grid.finished && !closed.aborted && said.isConnected) {
      fill(said, h("p", { class: "nothing" }, `${grid.ready} of ${plural(grid.total, "picture")}`));
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      grid = await app.api.grid(one.name, one.version, grid.id);
    }
    if (!grid.finished) return;
    fill(
      said,
      grid.problems.map((/** @type {string} */ why) => h("p", { class: "problem", dir: "auto" }, why)),
      grid.ready > 0 && h("a", { href: grid.sheet, target: "_blank", rel: "noopener" }, h("img", { class: "grid-sheet", src: grid.sheet, alt: `${plural(grid.ready, "picture")}: each prompt a row, each seed with both versions beside each other` })),
    );
  } catch (error) {
    fill(said, h("p", { class: "problem", role: "alert" }, sentence(error)));
  }
}
