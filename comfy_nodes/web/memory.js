/** Memory nodes say on themselves when the Vestige server is away, and Scene From Memory shows its prompt. */

import { app } from '../../scripts/app.js'
import { panel } from './pack/sheet.js'

const ASKS = new Set(['Vestige_Character', 'Vestige_RecallMemory', 'Vestige_RememberPicture', 'Vestige_WornOutfit'])
const SHOWS = 'Vestige_SceneFromMemory'
const BADGE = { text: '⚠ server away', fgColor: '#ffffff', bgColor: '#b35900' }

app.registerExtension({
  name: 'Vestige.Memory',

  nodeCreated(node) {
    if (ASKS.has(node.comfyClass)) {
      const show = panel(node, 'away')
      whenExecuted(node, ({ vestige_away: away = [] }) => warn(node, show, away))
    }
    if (node.comfyClass === SHOWS) {
      const show = panel(node, 'prompt')
      whenExecuted(node, ({ vestige_lines: lines = [] }) => show(lines.map((text, at) => (at ? { text } : { text, kind: 'title' }))))
    }
  }
})

function whenExecuted(node, then) {
  const executed = node.onExecuted
  node.onExecuted = function (output) {
    executed?.apply(this, arguments)
    then(output ?? {})
  }
}

function warn(node, show, away) {
  show(away.map((text) => ({ text: `⚠ ${text}`, kind: 'warning' })))
  node.badges = (node.badges ?? []).filter((badge) => !badge.vestige)
  if (away.length && window.LGraphBadge) {
    const badge = new window.LGraphBadge(BADGE)
    node.badges.push(Object.assign(() => badge, { vestige: true }))
  }
  node.setDirtyCanvas(true, true)
}
