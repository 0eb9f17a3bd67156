/** Load Reference takes a picture from an https address: the host fetches it once, and the widget keeps its sha256. */

import { app } from '../../scripts/app.js'
import { complain, request } from './pack/client.js'

app.registerExtension({
  name: 'Vestige.Reference',

  nodeCreated(node) {
    if (node.comfyClass !== 'Vestige_LoadReference') return
    const button = node.addWidget('button', 'fetch from https address', null, () => fetchInto(node), { serialize: false })
    button.serialize = false
    button.tooltip = 'The ComfyUI host fetches the picture once into its reference cache. The address is not kept.'
    letThePictureCount(node)
  }
})

/** A sha256 counts before a picture: who chooses or uploads one afterwards means that one. */
function letThePictureCount(node) {
  const [picture, sha256] = ['picture', 'sha256'].map((wanted) => node.widgets.find(({ name }) => name === wanted))
  const chosen = picture.callback
  picture.callback = function (...values) {
    sha256.value = ''
    return chosen?.apply(this, values)
  }
}

async function fetchInto(node) {
  const url = await app.extensionManager.dialog.prompt({
    title: 'Fetch a reference',
    message: 'The https address of a PNG, JPEG or WebP.'
  })
  if (!url?.trim()) return
  try {
    const reference = await request('/vestige/references', { method: 'POST', json: { url: url.trim() } })
    if (!reference) return
    const widget = node.widgets.find(({ name }) => name === 'sha256')
    widget.value = reference.sha256
    widget.callback?.(reference.sha256)
    node.setDirtyCanvas(true, true)
  } catch (error) {
    complain('The reference was not fetched', error)
  }
}
