/** A panel on a node that shows lines of text. It is never saved with the workflow, and text is never markup. */

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
    getMinHeight: () => (element.childElementCount ? 18 * element.childElementCount + 8 : 0)
  })
  widget.serialize = false
  return (lines) => {
    element.replaceChildren(...lines.map(line))
    const [width, height] = node.computeSize()
    node.setSize([Math.max(node.size[0], width), Math.max(node.size[1], height)])
    node.setDirtyCanvas(true, true)
  }
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
