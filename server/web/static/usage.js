// What one's own conversations cost: today's share of the ceiling, and the days before.

import { h } from "./dom.js";
import { openDialog } from "./dialog.js";
import { everyDay, money, plural, utcDay } from "./format.js";
import { loadInto, nothing } from "./panel.js";
import { bars, gauge } from "./plot.js";
import { sentence } from "./api.js";

/** @param {import("./api.js").Api} api */
export function showUsage(api) {
  const body = h("div", { class: "stack stack--wide" });
  openDialog({ title: "Your usage", body });
  void loadInto(body, async () => shown(await api.usage()), sentence);
}

/** @param {import("../types.js").OwnUsage} usage */
function shown({ today, total, days, since, until }) {
  return [
    gauge({ label: "Today, in UTC", spent: today.spent_microdollars, held: today.held_microdollars, ceiling: today.ceiling_microdollars, say: money }),
    total.attempts === 0
      ? nothing("Nothing was counted in the last 30 days.")
      : bars({
          title: `${money(total.cost_microdollars)} in 30 days, ${plural(total.attempts, "call")} to a model`,
          what: "Cost",
          points: everyDay(since, until).map((day) => ({ label: utcDay(day), value: days.find((one) => one.day === day)?.cost_microdollars ?? 0 })),
          say: money,
        }),
    h("p", { class: "hint" }, "What your characters remember is written by a model too, and counted here."),
  ];
}
