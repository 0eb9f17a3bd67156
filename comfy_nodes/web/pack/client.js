/** The pack's own routes, from the editor. The operator's token is asked for once and stays in this tab. */

import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'

const KEY = 'vestige.token'

/** Whether this tab has been given the token. */
export const hasToken = () => sessionStorage.getItem(KEY) !== null

/**
 * Sends a request to a `/vestige/…` route and gives its JSON.
 *
 * @param {string} path
 * @param {{method?: string, json?: unknown, ask?: boolean}} [options] `ask`: whether a person may be asked for the token
 * @returns {Promise<any>} null where there is no token and nobody gave one
 * @throws {Error} with the sentence the route answered
 */
export async function request(path, { method = 'GET', json, ask = true } = {}) {
  const token = sessionStorage.getItem(KEY) ?? (ask ? await askForToken() : null)
  if (!token) return null
  const headers = { Authorization: `Bearer ${token}` }
  if (json !== undefined) headers['Content-Type'] = 'application/json'
  const response = await api.fetchApi(path, {
    method,
    headers,
    body: json === undefined ? undefined : JSON.stringify(json)
  })
  const body = await response.json().catch(() => null)
  if (response.ok) return body
  if (response.status === 401) sessionStorage.removeItem(KEY)
  throw new Error(body?.error?.message ?? `The pack's route answered ${response.status}.`)
}

/** Tells a person what went wrong, where ComfyUI tells such things. */
export function complain(summary, error) {
  app.extensionManager.toast.add({ severity: 'error', summary, detail: error.message, life: 12000 })
}

async function askForToken() {
  const token = await app.extensionManager.dialog.prompt({
    title: 'Vestige',
    message: 'The token of this ComfyUI (VESTIGE_PACK_TOKEN). It is kept until this tab is closed.'
  })
  if (!token?.trim()) return null
  sessionStorage.setItem(KEY, token.trim())
  return token.trim()
}
