// The shapes the server speaks. Types only: nothing here runs.

/**
 * @typedef {"pending"|"complete"|"interrupted"|"failed"} Status
 *
 * @typedef {object} Alternative
 * @property {string} text
 * @property {string} html            rendered and cleaned by the server
 * @property {string} created         ISO 8601, UTC
 * @property {Status} status
 * @property {string|null} [model]
 * @property {number|null} [completion_tokens]
 * @property {number|null} [total_ms]
 * @property {string|null} [error]    an error code
 * @property {Notice|null} [notice]
 * @property {Upsell|null} [upsell]
 * @property {Picture|null} [picture]
 *
 * @typedef {{kind: "declined"|"safety", text: string|null}} Notice  what the content policy says of a reply
 * @typedef {{level: string, plan: string}} Upsell
 *
 * @typedef {object} Message
 * @property {string} id              `epoch-seq`, `greeting` before the first turn, `local-…` before it is accepted
 * @property {"user"|"assistant"} role
 * @property {string} text
 * @property {string} html
 * @property {string} created
 * @property {Status|"sending"|"unsent"} status
 * @property {string|null} [edited]
 * @property {number} [chosen]
 * @property {string|null} [model]
 * @property {Alternative[]} [alternatives]
 * @property {string|null} [error]
 * @property {Notice|null} [notice]
 * @property {Upsell|null} [upsell]
 * @property {Picture|null} [picture]
 * @property {"picture"|null} [asks]  it asks for a picture
 * @property {"gift"|null} [event]    it tells of something that happened
 * @property {string} [problem]       a sentence for a person; only set in the page
 * @property {{item_id?: string, prompt?: string, how?: "show"|"wear"|"give"}} [ask]  what it asks for, until it is accepted
 *
 * @typedef {object} PictureState      how a picture stands
 * @property {string} key
 * @property {"ready"|"waiting"|"running"|"failed"|"none"|string} state
 * @property {string|null} [url]
 * @property {number|null} [width]
 * @property {number|null} [height]
 * @property {string|null} [item_id]
 * @property {string|null} [job_id]
 * @property {number} [share]         0 to 1
 * @property {number|null} [position] how many stand before it
 * @property {string|null} [waiting]  why it waits: in_line, no_host, no_worker, retry
 * @property {{code: string, message: string}|null} [error]
 * @property {string|Record<string, unknown>|null} [made_with]  a preset's name, or the tuning
 *
 * @typedef {PictureState & {scene?: string|null}} Picture  a picture in a message
 *
 * @typedef {object} Job
 * @property {string} id
 * @property {string} key
 * @property {"waiting"|"running"|"done"|"failed"|"cancelled"|"dead"} state
 * @property {number} share
 * @property {number|null} position
 * @property {string|null} waiting
 * @property {{code: string, message: string}|null} error
 * @property {string} character_id
 * @property {string|null} item_id
 * @property {"user"|"prerender"} line
 * @property {string|null} host        for admins, as attempts
 * @property {number|null} attempts
 * @property {string} created
 *
 * @typedef {object} Item
 * @property {string} id
 * @property {string} title
 * @property {string} category
 * @property {boolean} visual
 * @property {string} prompt_hint
 * @property {string|null} picture    its address
 * @property {Record<string, unknown>|null} price  for the operator's own shop; `label` is shown
 * @property {boolean} private        one person's own upload
 * @property {boolean} public
 * @property {boolean} editable
 * @property {string} [etag]
 *
 * @typedef {{sha256: string, width: number, height: number, findings: {kind: string, text: string}[]}} Reference
 *
 * @typedef {object} Host
 * @property {string} name
 * @property {boolean} healthy
 * @property {boolean} usable
 * @property {string|null} why
 * @property {string|null} version
 * @property {"vestige"|"ipadapter_plus"|"none"} pack
 * @property {string[]} devices
 * @property {string[]} warm
 * @property {number} queue
 * @property {number} strangers
 * @property {boolean} drained
 * @property {string|null} benched_until
 * @property {number|null} seconds
 * @property {string[]} problems
 *
 * @typedef {object} Look
 * @property {string} character
 * @property {string} checkpoint
 * @property {string|null} lora
 * @property {string|null} preset
 * @property {string|null} adapter
 * @property {string|null} encoder
 * @property {{prompt: string, negative: string, seed: number, steps: number, cfg: number, sampler: string, scheduler: string, width: number, height: number}} scene
 * @property {object} tuning
 * @property {string} etag
 *
 * @typedef {object} SpanTurn
 * @property {string} message_id
 * @property {"user"|"assistant"} role
 * @property {string} speaker
 * @property {string} text
 * @property {string} created
 * @property {number} [score]
 *
 * @typedef {object} Span
 * @property {string} start_id
 * @property {string} end_id
 * @property {string} start
 * @property {string} end
 * @property {SpanTurn[]} turns
 *
 * @typedef {object} Done
 * @property {Message} message
 * @property {{user: string|null, reply: string}} message_ids
 * @property {string|null} model
 * @property {{prompt: number|null, completion: number|null}} tokens
 * @property {{first_token: number|null, total: number|null}} ms
 * @property {Span[]} recalled
 * @property {boolean} summary_used
 * @property {boolean} replayed
 *
 * @typedef {object} CharacterSummary
 * @property {string} id
 * @property {string} name
 * @property {string[]} tags
 * @property {string|null} avatar
 * @property {boolean} shared
 * @property {boolean} mine
 * @property {boolean} editable
 * @property {string} [creator_notes]
 * @property {string|null} [last_message_at]
 * @property {string|null} [damaged]  what is wrong with its file
 *
 * @typedef {CharacterSummary & {
 *   description: string, personality: string, scenario: string, first_mes: string, alternate_greetings: string[],
 *   mes_example: string, nickname: string, notices: string[], system_prompt: string, post_history_instructions: string, creator: string,
 *   character_version: string, etag: string, created: string, modified: string }} Character
 *
 * @typedef {object} Pin
 * @property {string} id
 * @property {string} text
 * @property {string} created
 * @property {string|null} message_id
 *
 * @typedef {object} MemoryWindow
 * @property {string} id
 * @property {number} index
 * @property {string} start
 * @property {string} end
 * @property {string} start_id
 * @property {string} end_id
 * @property {{id: string, role: "user"|"assistant", text: string, created: string}[]} messages
 * @property {string|null} summary
 * @property {string[]} facts
 * @property {"none"|"pending"|"done"|"refused"} derived
 *
 * @typedef {object} Summary
 * @property {string|null} text
 * @property {string} [html]
 * @property {string} [updated]
 * @property {number} [windows]
 * @property {"model"|"user"} [by]
 *
 * @typedef {object} Me
 * @property {{id: string|null, name: string}} user
 * @property {string} tenant
 * @property {"owner"|"admin"|"member"|"service"} role
 * @property {string[]} scopes
 * @property {string} tier
 * @property {string|null} active_character
 * @property {{name: string, provider: string, bundled: boolean, banner: string|null}} model
 * @property {{message_bytes: number}} limits
 * @property {boolean} disclose_ai    the page says that characters are an AI
 * @property {string} version
 *
 * @typedef {object} User
 * @property {string} id
 * @property {string} name
 * @property {string} role
 * @property {string} tier
 * @property {string} created
 * @property {string|null} last_seen
 *
 * @typedef {object} ApiKey
 * @property {string} id
 * @property {string} name
 * @property {string[]} scopes
 * @property {string|null} tier
 * @property {string|null} user_id
 * @property {string} created
 * @property {string|null} last_used
 * @property {string} prefix
 *
 * @typedef {object} Amounts
 * @property {number} attempts
 * @property {number} cost_microdollars
 * @property {number} prompt_tokens
 * @property {number} completion_tokens
 *
 * @typedef {object} Ceiling
 * @property {"user"|"tenant"|"global"} scope
 * @property {string|null} name
 * @property {number} spent_microdollars
 * @property {number} held_microdollars
 * @property {number|null} ceiling_microdollars  null: there is none
 *
 * @typedef {object} OwnUsage
 * @property {string} since           a day of UTC, as `until`
 * @property {string} until
 * @property {Ceiling} today
 * @property {Amounts} total
 * @property {(Amounts & {day: string})[]} days
 *
 * @typedef {object} AdminUsage
 * @property {string} since
 * @property {string} until
 * @property {string[]} tenants
 * @property {Ceiling[]} today
 * @property {Amounts} total
 * @property {(Amounts & {day: string})[]} days
 * @property {(Amounts & {tier: string})[]} tiers
 * @property {(Amounts & {model: string})[]} models
 * @property {{tenant: string, user_id: string|null, pseudonym: string, cost_microdollars: number}[]} users
 *
 * @typedef {object} LoraLine
 * @property {string} name            the character's, in the registry
 * @property {number} version
 * @property {boolean} live
 * @property {string} sha256
 * @property {number} bytes
 * @property {string|null} base_family
 * @property {string|null} base_sha256
 * @property {number|null} dim
 * @property {number|null} alpha
 * @property {number|null} steps
 * @property {string} added
 *
 * @typedef {object} RoutingReport
 * @property {{turns: number, fallbacks: number, unanswered: number, attempts: number, refused: number, failed: number}} total
 * @property {{at: string, turns: number, fallbacks: number, attempts: number, refused: number}[]} buckets
 * @property {{model: string, mode: string|null, attempts: number, refused: number, failed: number, first_token_ms: number|null, cooling_until: string|null}[]} models
 */

export {};
