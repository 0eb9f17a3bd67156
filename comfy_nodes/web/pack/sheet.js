/** A panel on a node that shows lines of text. It is never saved with the workflow, and text is never markup. */

const MARGIN = 40
const PADDING = 14
const ROW = 18
const LETTER = 6.6

/**
 * @param {any} node
 * @param {string} name
 * @returns {(lines: {text: string, kind?: 'title' | 'warning'}[]) => void} shows other lines; none hides the panel
 */
export function panel(node, name) {
  const element = document.createElement('div')
  element.style.cssText = 'font: 12px/1.45 sans-serif; color: var(--input-text); overflow: auto; padding: 2px 6px'
  const widget = node.addDOMWidget(name, 'vestige', element, {
    serialize: false,
    hideOnZoom: false,
    getValue: () => undefined,
    setValue: () => {},
    getMinHeight: () => height(shown, node.size[0] - MARGIN)
  })
  widget.serialize = false
  let shown = []
  return (lines) => {
    shown = lines
    element.replaceChildren(...lines.map(line))
    grow(node)
  }
}

/** Makes a node high enough for all that is on it. */
export function grow(node) {
  const [, needed] = node.computeSize()
  if (node.size[1] < needed) node.setSize([node.size[0], needed])
  node.setDirtyCanvas(true, true)
}

/** Pixels that lines of text take when they are wrapped at a width. */
function height(lines, width) {
  const rows = lines.map(({ text }) => Math.ceil((text.length * LETTER) / Math.max(width, 100)))
  return lines.length ? ROW * rows.reduce((sum, count) => sum + count, 0) + PADDING : 0
}

function line({ text, kind }) {
  const element = document.createElement('div')
  element.textContent = text
  if (kind === 'title') element.style.fontWeight = '600'
  if (kind === 'warning') {
    element.setAttribute('role', 'alert')
    element.style.cssText = 'background: #7a3b00; color: #fff; border-radius: 3px; padding: 1px 5px; margin-bottom: 2px'
  }
  return element
}
