// A picture of one's own to wear: from a file or an address, with what the quality check says of it.

import { sentence } from "../api.js";
import { openDialog } from "../dialog.js";
import { fill, h, uid } from "../dom.js";
import { plural } from "../format.js";
import { icon } from "../icons.js";
import { toast } from "../toast.js";

const TYPES = "image/png,image/jpeg,image/webp";

/** @param {import("../app.js").App} app @param {() => void} added @param {{shop?: boolean}} [options]  `shop`: for everybody, unless one says otherwise */
export function uploadItem(app, added, { shop: forAll = false } = {}) {
  /** @type {import("../../types.js").Reference|null} */
  let reference = null;
  const ids = { file: uid("file"), url: uid("url"), title: uid("title"), category: uid("category"), hint: uid("hint") };
  const file = h("input", { id: ids.file, class: "input", type: "file", accept: TYPES });
  const url = h("input", { id: ids.url, class: "input", type: "url", placeholder: "https://…", autocomplete: "off", spellcheck: "false" });
  const fetchButton = h("button", { type: "button", class: "button button--small" }, "Fetch");
  const title = h("input", { id: ids.title, class: "input", type: "text", dir: "auto", maxlength: "200", required: true, autocomplete: "off" });
  const category = h("input", { id: ids.category, class: "input", type: "text", dir: "auto", maxlength: "64", value: "own", autocomplete: "off" });
  const hint = h("input", { id: ids.hint, class: "input", type: "text", dir: "auto", maxlength: "500", placeholder: "a red silk dress with thin straps", autocomplete: "off" });
  const shop = h("input", { type: "checkbox", checked: forAll });
  const found = h("div", { class: "upload__found", role: "status", "aria-live": "polite" });

  const take = async (/** @type {() => Promise<import("../../types.js").Reference>} */ send, /** @type {string} */ name) => {
    reference = null;
    file.disabled = fetchButton.disabled = true;
    fill(found, h("p", { class: "hint" }, "Looking at the picture …"));
    try {
      reference = await send();
      if (!title.value.trim() && name) title.value = name;
      fill(found, checked(reference));
    } catch (error) {
      fill(found, h("p", { class: "problem", role: "alert" }, sentence(error)));
    } finally {
      file.disabled = fetchButton.disabled = false;
    }
  };
  file.addEventListener("change", () => {
    const [chosen] = file.files ?? [];
    if (chosen) void take(() => app.api.addReference(chosen), chosen.name.replace(/\.[^.]*$/, "").replace(/[_-]+/g, " ").slice(0, 200));
  });
  const fetchIt = () => {
    if (url.value.trim()) void take(() => app.api.fetchReference(url.value.trim()), "");
    else url.focus();
  };
  fetchButton.addEventListener("click", fetchIt);
  url.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      fetchIt();
    }
  });

  openDialog({
    title: forAll ? "Add an item" : "Add your own",
    body: h(
      "div",
      { class: "stack" },
      h("p", { class: "hint" }, "Best is one garment alone, seen whole from the front, on a plain background, 512 pixels or more a side.", !forAll && " Only you see it."),
      h("label", { class: "label", for: ids.file }, "A picture of it"), file,
      h("label", { class: "label", for: ids.url }, "Or its address on the web"), h("div", { class: "upload__url" }, url, fetchButton),
      found,
      h("label", { class: "label", for: ids.title }, "What it is called"), title,
      h("label", { class: "label", for: ids.category }, "Category"), category,
      h("label", { class: "label", for: ids.hint }, "In a few words, for the picture (optional)"), hint,
      app.me.scopes.includes("admin") && h("label", { class: "check" }, shop, h("span", null, "Put it in the shop", h("span", { class: "hint" }, "Everyone on this server sees it, and it is nobody's until you hand it out."))),
    ),
    actions: [
      { label: "Cancel", kind: "quiet" },
      {
        label: "Add it", kind: "primary",
        run: async () => {
          if (!reference) {
            fill(found, h("p", { class: "problem", role: "alert" }, "Choose a picture first, or give its address and fetch it."));
            file.focus();
            return false;
          }
          if (!title.value.trim()) {
            title.focus();
            return false;
          }
          await app.api.addItem({
            title: title.value.trim(), category: categoryId(category.value), visual: true, prompt_hint: hint.value.trim(), reference: reference.sha256, private: !shop.checked,
          });
          added();
          toast(`${title.value.trim()} is there.`);
          return true;
        },
      },
    ],
  });
}

/** A category as the catalog names one. @param {string} text */
export const categoryId = (text) => text.toLowerCase().normalize("NFKD").replace(/[^a-z0-9_-]+/g, "-").replace(/^[-_]+|[-_]+$/g, "").slice(0, 40) || "own";

/** What the check found, worst first as the server lists it. @param {import("../../types.js").Reference} reference */
function checked({ width, height, findings }) {
  const size = `${width} × ${height} pixels.`;
  if (!findings.length) return h("p", { class: "upload__good" }, icon("check"), `${size} This picture will do well.`);
  return [
    h("p", { class: "hint" }, `${size} It can be used. ${plural(findings.length, "thing")} might hurt the result:`),
    h("ul", { class: "findings" }, findings.map((one) => h("li", { dir: "auto" }, icon("warn"), one.text))),
  ];
}
