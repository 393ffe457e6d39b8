import { describe, expect, it } from 'vitest'
import { ApiError } from '../src/client/api-error.ts'
import { EMPTY_JOB } from '../src/client/transcript.ts'
import { troubleOf, troubleOfJob } from '../src/trouble.ts'
import { fieldErrors, lengthProblem } from '../src/validation.ts'
import { clockWords, durationWords, queueWords, spanWords, tokenWords } from '../src/words.ts'

describe('words', () => {
  it('say where a job stands that waits', () => {
    expect(queueWords(EMPTY_JOB)).toBeNull()
    expect(queueWords({ ...EMPTY_JOB, queuePosition: 1, workers: 2 })).toMatch(/next/)
    expect(queueWords({ ...EMPTY_JOB, queuePosition: 4, workers: 2 })).toMatch(/3 requests are before/)
    expect(queueWords({ ...EMPTY_JOB, queuePosition: 1, workers: 0 })).toMatch(/not running at the moment/)
  })

  it('say what it took', () => {
    const usage = { inputTokens: 46, outputTokens: 602, cacheReadTokens: 252, cacheCreationTokens: 100, totalTokens: 1_000 }
    expect(tokenWords(usage)).toBe('1,000 tokens (398 read, 602 written)')
    expect([8_449, 42_000, 61_200, 120_000].map(durationWords)).toEqual(['8.4 s', '42 s', '1 min 1 s', '2 min'])
    expect([0, 59_999, 61_000].map(clockWords)).toEqual(['0:00', '0:59', '1:01'])
    expect([120_000, 60_000, 90_000].map(spanWords)).toEqual(['2 minutes', '1 minute', '90 seconds'])
  })
})

describe('what is wrong with a field', () => {
  it('is counted in code points, as the server counts', () => {
    const bounds = { least: 3, greatest: 4 }
    expect(lengthProblem('🧑‍💻', bounds)).toBeNull()
    expect(lengthProblem('🙂🙂', bounds)).toBe('must have at least 3 characters')
    expect(lengthProblem('🙂🙂🙂🙂🙂', bounds)).toBe('must have at most 4 characters')
    expect(lengthProblem('', bounds)).toBe('is required')
    expect(lengthProblem('', { least: 0, greatest: 4 })).toBeNull()
  })

  it('is said as a sentence with the name of the field', () => {
    expect(fieldErrors({ name: 'Name' }, [{ field: 'name', message: 'is required' }])).toEqual({ name: 'Name is required.' })
  })
})

describe('trouble', () => {
  it('of the network is told apart from an answer', () => {
    expect(troubleOf(new TypeError('Failed to fetch')).kind).toBe('network')
    expect(troubleOf(new ApiError(503, 'Full.', [], 2_000), 1_000)).toMatchObject({ kind: 'server', retryAt: 3_000 })
  })

  it.each([
    [400, 'missing', false],
    [401, 'signed-out', false],
    [403, 'foreign', false],
    [404, 'missing', true],
    [413, 'server', false],
    [422, 'fields', false],
    [429, 'limited', true],
    [500, 'server', true],
  ])('of status %i is %s', (status, kind, isRetryable) => {
    expect(troubleOf(new ApiError(status, 'Because.'))).toMatchObject({ kind, isRetryable })
  })

  it('of a job that expired is told as such', () => {
    expect(troubleOfJob({ message: 'Expired.', code: 'EXPIRED', retryable: true }, 0).title).toMatch(/expired/)
  })
})
