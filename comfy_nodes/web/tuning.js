/** Tuning nodes show their values and origin; nodes whose preset's pins do not match what is loaded wear a badge. */

import { api } from '../../scripts/api.js'
import { app } from '../../scripts/app.js'
import { hasToken, request } from './pack/client.js'
import { grow, panel } from './pack/sheet.js'
import { describe } from './pack/tuning.js'

const SHOWS_VALUES = new Set(['Vestige_TuningPreset', 'Vestige_TuningValues'])
const CHECKS_PINS = new Set(['Vestige_ApplyOutfit', 'Vestige_OutfitChain', 'Vestige_OutfitSweep'])
const MISFIT = 'vestige.misfits'
const SHEET_SHOWN_MS = 500
const BADGE = { text: '⚠ other files', fgColor: '#ffffff', bgColor: '#b35900' }

app.registerExtension({
  name: 'Vestige.Tuning',

  setup() {
    api.addEventListener(MISFIT, ({ detail }) => {
      const node = find(detail.node)
      if (node) warn(node, detail.misfits)
    })
  },

  nodeCreated(node) {
    if (SHOWS_VALUES.has(node.comfyClass)) showValues(node)
    if (CHECKS_PINS.has(node.comfyClass)) node.vestigeWarnings = panel(node, 'misfits')
    if (node.comfyClass === 'Vestige_OutfitSweep') whenExecuted(node, () => setTimeout(grow, SHEET_SHOWN_MS, node))
  }
})

function showValues(node) {
  const show = panel(node, 'shown')
  whenExecuted(node, (output) => {
    const [tuning] = output?.vestige_tuning ?? []
    if (tuning) show(describe(tuning))
  })
  const choice = node.widgets?.find(({ name }) => name === 'preset')
  if (!choice) return
  const chosen = choice.callback
  choice.callback = function () {
    chosen?.apply(this, arguments)
    look(choice, show)
  }
  setTimeout(() => look(choice, show)) // once a loaded workflow has set the widget
}

function whenExecuted(node, then) {
  const executed = node.onExecuted
  node.onExecuted = function (output) {
    executed?.apply(this, arguments)
    then(output)
  }
}

/** The preset as it is on the disk, where this tab may ask; otherwise it shows itself when it runs. */
async function look(choice, show) {
  const origin = String(choice.value)
  const [name, version] = origin.split('@')
  show([{ text: origin, kind: 'title' }])
  if (!hasToken()) return
  const path = `/vestige/presets/${encodeURIComponent(name)}/${encodeURIComponent(version ?? 'latest')}`
  try {
    const preset = await request(path, { ask: false })
    if (preset && choice.value === origin) show(describe(preset))
  } catch (error) {
    if (choice.value === origin) show([{ text: origin, kind: 'title' }, { text: error.message, kind: 'warning' }])
  }
}

function warn(node, misfits) {
  node.vestigeWarnings?.(misfits.map((text) => ({ text: `⚠ ${text}`, kind: 'warning' })))
  node.badges = (node.badges ?? []).filter((badge) => !badge.vestige)
  if (misfits.length && window.LGraphBadge) {
    const badge = new window.LGraphBadge(BADGE)
    node.badges.push(Object.assign(() => badge, { vestige: true }))
  }
  node.setDirtyCanvas(true, true)
}

/** A node by the id that is run: `12`, or `5:12` within a subgraph. */
function find(id) {
  let graph = app.rootGraph ?? app.graph
  let node = null
  for (const part of String(id).split(':')) {
    node = graph?.getNodeById(Number(part)) ?? graph?.getNodeById(part) ?? null
    graph = node?.subgraph
  }
  return node
}
