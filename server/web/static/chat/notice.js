// What the content policy says of a reply: another plan has it; or whom to call, for a person who may be in danger.

import { h } from "../dom.js";
import { icon } from "../icons.js";

/**
 * What stands below a reply; nothing for most of them.
 *
 * @param {import("../../types.js").Message} message @param {string} name  the character's
 * @returns {HTMLElement[]}
 */
export function policyNote(message, name) {
  const { notice, upsell } = message;
  if (!notice) return [];
  if (notice.kind === "declined") {
    return upsell ? [h("p", { class: "upsell" }, icon("up"), h("span", null, "“", h("strong", { dir: "auto" }, upsell.level), "” is part of the plan “", h("strong", { dir: "auto" }, upsell.plan), "”."))] : [];
  }
  const from = h("p", { class: "care__from" }, icon("people"), notice.text ? "Are you safe?" : `This is not ${name} speaking, but the service.`);
  return [h("aside", { class: "care", "aria-label": "Help" }, from, notice.text && h("p", { class: "care__text", dir: "auto" }, notice.text))];
}
