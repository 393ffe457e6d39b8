import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ApiError } from '../src/client/api-error.ts'
import type { JobView } from '../src/client/types.gen.ts'
import { lateness } from '../src/patience.ts'

const view = (changes: object): Promise<JobView> =>
  Promise.resolve({ status: 'in_progress', attempt: 1, waiting: null, ...changes } as unknown as JobView)

const start = (readJob: () => Promise<JobView>) => {
  const reads = vi.fn<() => Promise<JobView>>(readJob)
  const watching = new AbortController()
  const outcome = lateness({ deadline: Date.now() + 120_000, attempt: 1, signal: watching.signal, readJob: reads })
  const isSettled = vi.fn<() => void>()
  void outcome.then(isSettled)
  return { outcome, reads, watching, isSettled }
}

describe('a late job', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('is called late where the server says so, twice', async () => {
    const { outcome, reads } = start(() => view({}))
    await vi.advanceTimersByTimeAsync(119_999)
    expect(reads).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(5_000)
    expect(await outcome).toBe('late')
    expect(reads).toHaveBeenCalledTimes(2)
  })

  it.each([
    ['has ended', { status: 'completed' }],
    ['is in another attempt', { attempt: 2 }],
    ['waits in line again', { status: 'pending' }],
  ])('that %s is watched anew', async (_, changes) => {
    const { outcome } = start(() => view(changes))
    await vi.advanceTimersByTimeAsync(125_000)
    expect(await outcome).toBe('elsewhere')
  })

  it('that is gone is watched anew, to show that', async () => {
    const { outcome } = start(() => Promise.reject(new ApiError(404, 'Gone.')))
    await vi.advanceTimersByTimeAsync(125_000)
    expect(await outcome).toBe('elsewhere')
  })

  it('of which nothing is known is not called late', async () => {
    const { isSettled, reads, watching, outcome } = start(() => Promise.reject(new TypeError('failed to fetch')))
    await vi.advanceTimersByTimeAsync(600_000)
    expect(reads.mock.calls.length).toBeGreaterThan(10)
    expect(isSettled).not.toHaveBeenCalled()
    watching.abort()
    expect(await outcome).toBe('aborted')
  })
})
