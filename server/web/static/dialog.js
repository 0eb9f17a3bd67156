// Modal dialogs on <dialog>: the browser keeps focus inside, closes on Escape and gives focus back.

import { h, uid } from "./dom.js";
import { icon } from "./icons.js";
import { sentence, wasAborted } from "./api.js";

/**
 * @typedef {object} DialogAction
 * @property {string} label
 * @property {"primary"|"danger"|"quiet"} [kind]
 * @property {() => (void|boolean|Promise<void|boolean>)} [run]  false keeps the dialog open; an error is shown in it
 * @property {boolean} [focus]
 */

/**
 * @param {{title: string, body?: unknown, actions?: DialogAction[], wide?: boolean}} options
 * @returns {{dialog: HTMLDialogElement, close: () => void, closed: Promise<void>}}
 */
export function openDialog({ title, body, actions = [], wide = false }) {
  const id = uid("dialog");
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const buttons = actions.map((action) => {
    const button = h("button", { type: "button", class: `button button--${action.kind ?? "quiet"}`, autofocus: action.focus }, action.label);
    button.addEventListener("click", async () => {
      problem.hidden = true;
      for (const one of buttons) one.disabled = true;
      try {
        if ((await action.run?.()) !== false) dialog.close();
      } catch (error) {
        if (!wasAborted(error)) {
          problem.textContent = sentence(error);
          problem.hidden = false;
        }
      } finally {
        for (const one of buttons) one.disabled = false;
      }
    });
    return button;
  });
  const dialog = h(
    "dialog",
    { class: `dialog${wide ? " dialog--wide" : ""}`, "aria-labelledby": id },
    h(
      "div",
      { class: "dialog__head" },
      h("h2", { id, class: "dialog__title", dir: "auto" }, title),
      h("button", { type: "button", class: "icon-button", "aria-label": "Close", onclick: () => dialog.close() }, icon("close")),
    ),
    h("div", { class: "dialog__body" }, body, problem),
    buttons.length > 0 && h("div", { class: "dialog__foot" }, buttons),
  );
  // Enter in a line of text does what the dialog is for, as in a form; never what cannot be undone.
  dialog.addEventListener("keydown", (event) => {
    const { target } = event;
    if (event.key !== "Enter" || event.isComposing || event.defaultPrevented) return;
    if (!(target instanceof HTMLInputElement) || !["text", "number"].includes(target.type)) return;
    event.preventDefault();
    buttons[actions.findIndex((one) => one.kind === "primary")]?.click();
  });
  // A press on the backdrop lands on the dialog element itself.
  let pressedOutside = false;
  dialog.addEventListener("pointerdown", (event) => {
    pressedOutside = event.target === dialog && outside(dialog, event);
  });
  dialog.addEventListener("click", (event) => {
    if (pressedOutside && event.target === dialog && outside(dialog, event)) dialog.close();
  });
  document.body.append(dialog);
  const closed = new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(undefined);
    });
  });
  dialog.showModal();
  return { dialog, close: () => dialog.close(), closed: /** @type {Promise<void>} */ (closed) };
}

/** @param {HTMLElement} node @param {PointerEvent|MouseEvent} event */
function outside(node, event) {
  const box = node.getBoundingClientRect();
  return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
}

/**
 * Asks before something that cannot be undone. The way out has the focus.
 * @param {{title: string, text: string, confirm: string, cancel?: string, danger?: boolean, extra?: unknown, run?: () => Promise<unknown>}} options
 * @returns {Promise<boolean>} whether it was confirmed (and `run` went through)
 */
export async function confirmDialog({ title, text, confirm, cancel = "Cancel", danger = true, extra, run }) {
  let yes = false;
  const { closed } = openDialog({
    title,
    body: [h("p", { dir: "auto" }, text), extra],
    actions: [
      { label: cancel, kind: "quiet", focus: true },
      {
        label: confirm,
        kind: danger ? "danger" : "primary",
        run: async () => {
          await run?.();
          yes = true;
        },
      },
    ],
  });
  await closed;
  return yes;
}

/**
 * Lets a person change one text.
 * @param {{title: string, label: string, value?: string, note?: string, save?: string, rows?: number, run: (text: string) => Promise<unknown>}} options
 * @returns {Promise<boolean>} whether it was saved
 */
export async function textDialog({ title, label, value = "", note, save = "Save", rows = 5, run }) {
  let saved = false;
  const id = uid("field");
  const area = h("textarea", { id, class: "input", rows, dir: "auto", value, autofocus: true });
  const { dialog, closed } = openDialog({
    title,
    body: [h("label", { class: "label", for: id }, label), area, note && h("p", { class: "hint" }, note)],
    actions: [
      { label: "Cancel", kind: "quiet" },
      {
        label: save,
        kind: "primary",
        run: async () => {
          const text = area.value.trim();
          if (!text) {
            area.focus();
            return false;
          }
          await run(text);
          saved = true;
          return true;
        },
      },
    ],
  });
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      /** @type {HTMLButtonElement|null} */ (dialog.querySelector(".button--primary"))?.click();
    }
  });
  await closed;
  return saved;
}
