/** Receives one job's events, over as many connections as it takes. */

import { send } from './access.ts'
import { ApiError } from './api-error.ts'
import { EventReader } from './event-reader.ts'
import { DEFAULT_RETRY_MS, DOUBTFUL_MS, MOST_FAILURES, SIGN_IN_TRIES, STALL_MS, waitMs } from './reconnect.ts'
import { Alarm, onWake, pause } from './timing.ts'
import { FINAL_EVENTS, type JobEvent } from './types.gen.ts'

/** Is the state of the connection: `waiting` is between two tries; `isFull` means that the user has too many streams open. */
export type Connection =
  | { state: 'connecting' }
  | { state: 'open' }
  | { state: 'waiting'; isFull: boolean }

export interface Watch {
  url: string
  /** Aborted when the caller stops watching; then `watch` resolves without another call. */
  signal: AbortSignal
  onEvent: (event: JobEvent, eventId: string | null) => void
  onConnection: (connection: Connection) => void
}

/** Is thrown when no answer has come for some ten minutes. */
export class GaveUp extends Error {
  override name = 'GaveUp'
}

/** Statuses that another try would not change. */
const LASTING = new Set([400, 403, 404, 405, 406])

/**
 * Resolves when the job's final event has come. Throws ApiError when the server will not show the job, GaveUp when
 * no answer comes. After any other failure it waits a little and reconnects with the last id.
 */
export const watch = async (options: Watch): Promise<void> => {
  const watcher = new Watcher(options)
  const stopListening = onWake(() => watcher.wake())
  try {
    await watcher.run()
  } catch (error) {
    if (!options.signal.aborted) {
      throw error
    }
  } finally {
    stopListening()
  }
}

class Watcher {
  readonly #options: Watch
  #lastEventId: string | null = null
  #isOver = false
  #failures = 0
  #unanswered = 0
  #unauthorized = 0
  #retryMs = DEFAULT_RETRY_MS
  #lastReceivedAt = Date.now()
  #connection: AbortController | null = null
  #isWoken = false

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
      this.#count(refusal)
      onConnection({ state: 'waiting', isFull: refusal?.status === 429 })
      const wait = Math.max(waitMs(this.#failures, this.#retryMs, Math.random()), refusal?.retryAfterMs ?? 0)
      this.#failures += 1
      if (!this.#isWoken) {
        await pause(wait, signal)
      }
    }
  }

  /** The computer has slept, or the network was away: a connection that has been silent meanwhile is replaced. */
  wake(): void {
    this.#unanswered = 0
    if (Date.now() - this.#lastReceivedAt > DOUBTFUL_MS) {
      this.#isWoken = true
      this.#failures = 0
      this.#connection?.abort()
    }
  }

  /** Counts a failure. Throws when it was one too many. */
  #count(refusal: ApiError | null): void {
    this.#unauthorized = refusal?.status === 401 ? this.#unauthorized + 1 : 0
    if (refusal !== null && this.#unauthorized >= SIGN_IN_TRIES) {
      throw refusal
    }
    this.#unanswered = refusal === null ? this.#unanswered + 1 : 0
    if (this.#unanswered > MOST_FAILURES) {
      throw new GaveUp()
    }
  }

  /** Opens one connection and reads it to its end. Returns the server's refusal, if it was refused. */
  async #connect(): Promise<ApiError | null> {
    const connection = new AbortController()
    const abort = (): void => connection.abort()
    const stall = new Alarm(abort)
    // The signals are joined by hand: AbortSignal.any is missing in browsers of 2023.
    this.#options.signal.addEventListener('abort', abort)
    this.#connection = connection
    this.#isWoken = false
    try {
      stall.set(STALL_MS)
      const init = { headers: this.#headers(), signal: connection.signal, cache: 'no-store' } as const
      await this.#read(await streamOf(await send(this.#options.url, init)), stall)
    } catch (error) {
      if (error instanceof ApiError && LASTING.has(error.status)) {
        throw error
      }
      return error instanceof ApiError ? error : null
    } finally {
      stall.clear()
      this.#options.signal.removeEventListener('abort', abort)
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
      this.#lastReceivedAt = Date.now()
      this.#unanswered = 0
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

/** Returns the body of a stream; null when the server says that there is nothing more. Throws ApiError. */
const streamOf = async (response: Response): Promise<ReadableStream<Uint8Array> | null> => {
  if (response.status === 204) {
    return null
  }
  if (!response.ok) {
    throw await ApiError.from(response)
  }
  if (!response.headers.get('Content-Type')?.startsWith('text/event-stream') || response.body === null) {
    throw new TypeError('not an event stream') // a proxy has answered in place of the server
  }
  return response.body
}
