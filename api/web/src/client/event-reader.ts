/** Parses the bytes of a stream into events. */

import { createParser } from 'eventsource-parser'
import { DEFAULT_RETRY_MS } from './reconnect.ts'
import type { JobEvent } from './types.gen.ts'

/** Reads a stream of events, however its bytes are cut. */
export class EventReader {
  retryMs = DEFAULT_RETRY_MS
  readonly #decoder = new TextDecoder()
  readonly #parser

  constructor(onEvent: (event: JobEvent, eventId: string | null) => void) {
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
