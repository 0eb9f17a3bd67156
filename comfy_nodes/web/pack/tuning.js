/** What a tuning says of itself, in lines for its node. */

const FAMILIES = { sd15: 'SD 1.5', sd2: 'SD 2', sdxl: 'SDXL', pony: 'Pony', illustrious: 'Illustrious', animagine: 'Animagine' }
const PINS = { base: 'checkpoint', adapter: 'IP-Adapter', encoder: 'encoder' }

/**
 * @param {{origin: string | null, values: any, pins: any, notes?: string}} tuning
 * @returns {{text: string, kind?: 'title'}[]}
 */
export function describe({ origin, values, pins, notes }) {
  const { freeu } = values
  return [
    { text: origin ?? 'values by hand', kind: 'title' },
    { text: `weight ${values.weight} · from ${values.start_at} to ${values.end_at} · ${values.layer_weights || values.weight_type}` },
    { text: `${values.embeds_scaling} · ${values.combine} · ${values.behaviour}` },
    { text: `LoRA ${values.lora_model} / ${values.lora_clip} · FreeU ${freeu ? [freeu.b1, freeu.b2, freeu.s1, freeu.s2].join(' ') : 'off'}` },
    { text: pinned(pins) },
    ...(notes ? [{ text: notes.length > 160 ? `${notes.slice(0, 159)}…` : notes }] : [])
  ]
}

function pinned(pins) {
  const files = Object.entries(PINS).filter(([name]) => pins[name]).map(([name, what]) => `${what} ${pins[name].slice(0, 10)}`)
  const family = pins.base_family ? [FAMILIES[pins.base_family] ?? pins.base_family] : []
  const all = [...family, ...files]
  return all.length ? `tuned on ${all.join(' · ')}` : 'pinned to no file'
}
