import { describe, expect, it } from 'vitest'
import { EventReader } from '../src/client/event-reader.ts'
import { type Received, received, recordedBytes } from './golden.ts'

const read = (pieces: readonly Uint8Array[]): { events: Received[]; retryMs: number } => {
  const events: Received[] = []
  const reader = new EventReader((event, id) => events.push({ event, id }))
  pieces.forEach((piece) => reader.push(piece))
  return { events, retryMs: reader.retryMs }
}

const bytes = recordedBytes()
const whole = received('unicode')

describe('the reader of event streams', () => {
  it('reads a recorded stream', () => {
    expect(read([bytes])).toEqual({ events: whole, retryMs: 1_000 })
  })

  it('reads the same from two pieces, wherever the cut is', () => {
    const expected = JSON.stringify(whole)
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const { events } = read([bytes.subarray(0, cut), bytes.subarray(cut)])
      if (JSON.stringify(events) !== expected) {
        expect.fail(`cut at ${cut}`)
      }
    }
  })

  it('reads the same from three pieces of a short stream, wherever the cuts are', () => {
    const short = new TextEncoder().encode(
      'retry: 250\n\n: keep-alive\n\nid: 1-9\nevent: delta\ndata: {"text":"“é” 🧑‍💻","totalLength":6,"timestamp":1}\n\nid: 2-1\nevent: x\ndata: {}\n\n',
    )
    const expected = JSON.stringify(read([short]))
    expect(read([short]).retryMs).toBe(250)
    expect(read([short]).events).toHaveLength(2)
    for (let first = 0; first <= short.length; first += 1) {
      for (let second = first; second <= short.length; second += 1) {
        const pieces = [short.subarray(0, first), short.subarray(first, second), short.subarray(second)]
        if (JSON.stringify(read(pieces)) !== expected) {
          expect.fail(`cuts at ${first} and ${second}`)
        }
      }
    }
  })

  it.each([1, 2, 3, 7, 64, 1_000])('reads the same from pieces of %i bytes', (size) => {
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
      bytes.subarray(index * size, (index + 1) * size),
    )
    expect(read(pieces).events).toEqual(whole)
  })
})
