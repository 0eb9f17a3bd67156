// A button's menu: a popover with arrow keys, as the ARIA practices describe a menu button.

import { h, uid } from "./dom.js";
import { icon } from "./icons.js";

/** @typedef {{label: string, icon: string, run: () => void, danger?: boolean}} MenuItem */

/**
 * @param {{label: string, icon?: string, class?: string, items: () => (MenuItem|false|null|undefined)[]}} options
 *   `items` is asked each time the menu opens
 * @returns {HTMLButtonElement}
 */
export function menuButton({ label, icon: name = "more", class: extra = "", items }) {
  const id = uid("menu");
  const button = h(
    "button",
    { type: "button", class: `icon-button ${extra}`, "aria-label": label, title: label, "aria-haspopup": "menu", "aria-expanded": "false" },
    icon(name),
  );
  button.addEventListener("click", () => open(button, id, label, items()));
  button.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      open(button, id, label, items());
    }
  });
  return button;
}

/** @param {HTMLButtonElement} button @param {string} id @param {string} label @param {(MenuItem|false|null|undefined)[]} items */
function open(button, id, label, items) {
  if (document.getElementById(id)) return;
  const menu = h("div", { id, class: "menu", role: "menu", "aria-label": label, popover: "auto" });
  for (const item of items) {
    if (!item) continue;
    menu.append(
      h(
        "button",
        {
          type: "button", role: "menuitem", tabindex: "-1", class: `menu__item${item.danger ? " menu__item--danger" : ""}`,
          onclick: () => {
            menu.hidePopover();
            item.run();
          },
        },
        icon(item.icon),
        item.label,
      ),
    );
  }
  const entries = /** @type {HTMLButtonElement[]} */ ([...menu.children]);
  menu.addEventListener("keydown", (event) => {
    const at = entries.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      entries.at(to % entries.length)?.focus();
    } else if (event.key === "Tab") {
      menu.hidePopover();
    }
  });
  menu.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState !== "closed") return;
    button.setAttribute("aria-expanded", "false");
    const inside = menu.contains(document.activeElement) || document.activeElement === document.body;
    menu.remove();
    if (inside) button.focus();
  });
  document.body.append(menu);
  menu.showPopover();
  button.setAttribute("aria-expanded", "true");
  place(menu, button);
  entries[0]?.focus();
}

/** Below the button, or above it where there is no room; always inside the window. @param {HTMLElement} menu @param {HTMLElement} button */
function place(menu, button) {
  const at = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const below = at.bottom + 6;
  const top = below + height <= innerHeight - 8 ? below : Math.max(8, at.top - height - 6);
  const left = at.left + width <= innerWidth - 8 ? at.left : at.right - width;
  menu.style.top = `${top}px`;
  menu.style.left = `${Math.min(Math.max(8, left), Math.max(8, innerWidth - width - 8))}px`;
}
