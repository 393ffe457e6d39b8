/** The recordings that the Python fold is tested with as well. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Transcript } from '../src/client/transcript.ts'
import type { JobEvent } from '../src/client/types.gen.ts'

const FOLDER = join(import.meta.dirname, '../../../tests/golden')

export interface Received {
  event: JobEvent
  id: string | null
}

export const recordings: readonly string[] = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.jsonl'))
  .map((name) => name.replace('.jsonl', ''))

export const received = (recording: string): Received[] =>
  readFileSync(join(FOLDER, `${recording}.jsonl`), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { id: string | null; event: string; data: unknown })
    .map(({ id, event, data }) => ({ event: { event, data } as JobEvent, id }))

export const expected = (recording: string): Transcript =>
  JSON.parse(readFileSync(join(FOLDER, `${recording}.expected.json`), 'utf8')) as Transcript

/** The bytes of the `unicode` recording, as they came from the server. */
export const recordedBytes = (): Uint8Array => readFileSync(join(FOLDER, 'unicode.stream'))

/** Events as the bytes of a stream. */
export const bytesOf = (events: readonly Received[]): Uint8Array =>
  new TextEncoder().encode(
    events
      .map(({ event, id }) => `${id === null ? '' : `id: ${id}\n`}event: ${event.event}\ndata: ${JSON.stringify(event.data)}\n\n`)
      .join(''),
  )
