// Something that is shown once: a sign-in link or a key's secret.

import { openDialog } from "../dialog.js";
import { copyText, h, uid } from "../dom.js";
import { icon } from "../icons.js";

/** @param {{title: string, text: string, secret: string}} options */
export function showSecret({ title, text, secret }) {
  const id = uid("secret");
  const field = h("input", { id, class: "input input--code", type: "text", readOnly: true, value: secret, onfocus: () => field.select() });
  const said = h("p", { class: "hint", role: "status" }, "");
  const copy = h("button", {
    type: "button", class: "button button--primary", autofocus: true,
    onclick: async () => {
      try {
        await copyText(secret);
        said.textContent = "Copied.";
      } catch {
        field.focus();
        said.textContent = "The browser did not allow copying. It is selected: copy it yourself.";
      }
    },
  }, icon("copy"), "Copy");
  openDialog({ title, body: [h("p", null, text), h("label", { class: "sr-only", for: id }, title), h("div", { class: "secret" }, field, copy), said] });
}
