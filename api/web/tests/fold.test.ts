import { describe, expect, it } from 'vitest'
import { EMPTY_JOB, fold, type Job } from '../src/client/transcript.ts'
import type { JobEvent } from '../src/client/types.gen.ts'
import { expected, received, recordings } from './golden.ts'

const folded = (events: ReturnType<typeof received>): Job =>
  events.reduce((job, { event, id }) => fold(job, event, id), EMPTY_JOB)

describe('the fold', () => {
  it.each(recordings)('makes of %s the job that Python makes of it', (recording) => {
    expect(folded(received(recording))).toMatchObject(expected(recording))
  })

  it('forgets everything an earlier attempt showed when another one starts', () => {
    const events = received('second-attempt')
    const second = events.findIndex(({ id }) => id === '2-1')
    const before = folded(events.slice(0, second))
    expect(before.text).not.toBeNull()
    expect(before.tools).not.toHaveLength(0)
    const after = folded(events.slice(0, second + 1))
    expect(after).toEqual({ ...EMPTY_JOB, status: 'in_progress', attempt: 2, lastEventId: '2-1', started: after.started })
    expect(after.started?.cause).toBe('model_error')
  })

  it('counts the characters that the server counted', () => {
    const job = folded(received('unicode'))
    expect([...(job.text ?? '')]).toHaveLength(job.totalLength)
  })

  it('knows the place in the queue only until something else comes', () => {
    const queued: JobEvent = { event: 'queued', data: { position: 3, workers: 0, timestamp: 1 } }
    const waiting = fold(EMPTY_JOB, queued)
    expect(waiting).toMatchObject({ queuePosition: 3, workers: 0 })
    const connected: JobEvent = { event: 'connected', data: { jobId: 'a', status: 'pending', timestamp: 2 } }
    expect(fold(waiting, connected)).toMatchObject({ queuePosition: null, workers: null })
  })

  it('ignores events of a newer server, but not their ids', () => {
    const job = fold(EMPTY_JOB, { event: 'surprise', data: {} } as unknown as JobEvent, '1-7')
    expect(job).toEqual({ ...EMPTY_JOB, lastEventId: '1-7' })
  })
})
