/** The transport: one job's events, over as many connections as it takes. */

import { createParser } from 'eventsource-parser'
import { ApiError } from './api.ts'
import { DEFAULT_RETRY_MS, GIVE_UP_MS, STALL_MS, waitMs } from './reconnect.ts'
import { FINAL_EVENTS, type JobEvent } from './types.gen.ts'

/** How the connection is doing: `waiting` is between two tries, with what the server said if it said anything. */
export type Connection =
  | { state: 'connecting' }
  | { state: 'open' }
  | { state: 'waiting'; reason: string | null }

export interface Watch {
  url: string
  /** Aborted when nobody watches any more; then `watch` resolves without another call. */
  signal: AbortSignal
  onEvent: (event: JobEvent, eventId: string | null) => void
  onConnection: (connection: Connection) => void
}

/** Nothing at all came for too long. */
export class GaveUp extends Error {
  override name = 'GaveUp'
}

/** Statuses that another try would not change. */
const LASTING = new Set([400, 401, 403, 404, 405, 406])

/** Reads a stream of events, however its bytes are cut. */
export class EventReader {
  retryMs = DEFAULT_RETRY_MS
  readonly #decoder = new TextDecoder()
  readonly #parser

  constructor(onEvent: Watch['onEvent']) {
    this.#parser = createParser({
      onEvent: ({ event, data, id }) => onEvent({ event, data: JSON.parse(data) } as JobEvent, id ?? null),
      onRetry: (milliseconds) => {
        this.retryMs = milliseconds
      },
    })
  }

  push(bytes: Uint8Array): void {
    this.#parser.feed(this.#decoder.decode(bytes, { stream: true }))
  }
}

/**
 * Resolves when the job's final event has come. Throws ApiError when the server will not show the job, GaveUp when
 * nothing has come for two minutes. All other trouble is a reason to wait a little and come back with the last id.
 */
export const watch = async (options: Watch): Promise<void> => {
  const watcher = new Watcher(options)
  try {
    await watcher.run()
  } catch (error) {
    if (!options.signal.aborted) {
      throw error
    }
  }
}

class Watcher {
  readonly #options: Watch
  #lastEventId: string | null = null
  #isOver = false
  #failures = 0
  #retryMs = DEFAULT_RETRY_MS
  #heardAt = Date.now()

  constructor(options: Watch) {
    this.#options = options
  }

  async run(): Promise<void> {
    const { signal, onConnection } = this.#options
    onConnection({ state: 'connecting' })
    while (!this.#isOver && !signal.aborted) {
      const refusal = await this.#connect()
      if (this.#isOver || signal.aborted) {
        return
      }
      if (this.#patienceMs() <= 0) {
        throw new GaveUp()
      }
      onConnection({ state: 'waiting', reason: refusal?.status === 429 ? refusal.message : null })
      const wait = Math.max(waitMs(this.#failures, this.#retryMs, Math.random()), refusal?.retryAfterMs ?? 0)
      this.#failures += 1
      await pause(Math.min(wait, this.#patienceMs()), signal)
    }
  }

  #patienceMs(): number {
    return this.#heardAt + GIVE_UP_MS - Date.now()
  }

  /** One connection, from its request to its end; the server's refusal, if that is what it was. */
  async #connect(): Promise<ApiError | null> {
    const connection = new AbortController()
    const signal = AbortSignal.any([this.#options.signal, connection.signal])
    const stall = new Alarm(() => connection.abort())
    try {
      stall.set(Math.min(STALL_MS, this.#patienceMs()))
      const response = await fetch(this.#options.url, { headers: this.#headers(), signal, cache: 'no-store' })
      await this.#read(await streamOf(response), stall)
    } catch (error) {
      if (error instanceof ApiError && LASTING.has(error.status)) {
        throw error
      }
      if (error instanceof ApiError && error.status === 429) {
        this.#heardAt = Date.now() // the server is there, and will have room when another tab closes
      }
      return error instanceof ApiError ? error : null
    } finally {
      stall.clear()
      connection.abort()
    }
    return null
  }

  #headers(): Record<string, string> {
    const accept = { Accept: 'text/event-stream' }
    return this.#lastEventId === null ? accept : { ...accept, 'Last-Event-ID': this.#lastEventId }
  }

  async #read(stream: ReadableStream<Uint8Array> | null, stall: Alarm): Promise<void> {
    if (stream === null) {
      this.#isOver = true
      return
    }
    this.#options.onConnection({ state: 'open' })
    const events = new EventReader((event, id) => this.#take(event, id))
    const reader = stream.getReader()
    while (!this.#isOver) {
      const { done, value } = await reader.read()
      if (done) {
        return
      }
      this.#heardAt = Date.now()
      stall.set(STALL_MS)
      events.push(value)
      this.#retryMs = events.retryMs
    }
  }

  #take(event: JobEvent, id: string | null): void {
    if (this.#options.signal.aborted) {
      return
    }
    this.#failures = 0
    this.#lastEventId = id ?? this.#lastEventId
    this.#isOver = FINAL_EVENTS.has(event.event)
    this.#options.onEvent(event, id)
  }
}

/** The body of a stream; null when the server says that there is nothing more. Throws ApiError. */
const streamOf = async (response: Response): Promise<ReadableStream<Uint8Array> | null> => {
  if (response.status === 204) {
    return null
  }
  if (!response.ok) {
    throw await ApiError.from(response)
  }
  if (!response.headers.get('Content-Type')?.startsWith('text/event-stream') || response.body === null) {
    throw new TypeError('not an event stream') // somebody between us and the server answered in its place
  }
  return response.body
}

/** One timer that is set again and again. */
class Alarm {
  readonly #onRing: () => void
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(onRing: () => void) {
    this.#onRing = onRing
  }

  set(milliseconds: number): void {
    this.clear()
    this.#timer = setTimeout(this.#onRing, milliseconds)
  }

  clear(): void {
    clearTimeout(this.#timer)
  }
}

/** Waits, but not longer than it takes the network to come back. */
const pause = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer)
      globalThis.removeEventListener?.('online', finish)
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const timer = setTimeout(finish, milliseconds)
    globalThis.addEventListener?.('online', finish)
    signal.addEventListener('abort', finish)
  })
