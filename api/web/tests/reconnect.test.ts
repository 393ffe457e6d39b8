import { describe, expect, it } from 'vitest'
import { LONGEST_WAIT_MS, waitMs } from '../src/client/reconnect.ts'

describe('the reconnect policy', () => {
  it('waits as long as the server asks at first, then twice as long after each failure', () => {
    expect([0, 1, 2, 3].map((failures) => waitMs(failures, 1_000, 0))).toEqual([1_000, 2_000, 4_000, 8_000])
  })

  it('stops growing, but never goes below what the server asks for', () => {
    expect(waitMs(30, 1_000, 0)).toBe(LONGEST_WAIT_MS)
    expect(waitMs(0, 60_000, 0)).toBe(60_000)
  })

  it('adds up to half of it by chance, and takes nothing away', () => {
    expect(waitMs(0, 1_000, 0.5)).toBe(1_250)
    expect(waitMs(1, 1_000, 0.999_999)).toBe(3_000)
  })
})
