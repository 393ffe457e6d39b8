import { describe, expect, it } from 'vitest'
import { type Action, IDLE, isUnderWay, type Session, step } from '../src/session.ts'
import { timedOut } from '../src/trouble.ts'
import type { JobEvent, SuggestFeatureRequest } from '../src/client/types.gen.ts'
import { expected, type Received, received, recordings } from './golden.ts'

const NOW = 5_000_000
const LATE = timedOut(120_000)
const INPUT: SuggestFeatureRequest = { pageOrComponent: 'Checkout', featureType: 'enhancement', priorityLevel: 'low' }

const after = (actions: readonly Action[], from: Session = IDLE): Session => actions.reduce(step, from)

const event = ({ event: happened, id }: Received): Action => ({
  type: 'event',
  event: happened,
  eventId: id,
  receivedAt: NOW,
})

const asked: Action[] = [
  { type: 'submitted', input: INPUT, at: NOW },
  { type: 'created', jobId: 'a' },
]

const phases = (recording: string): string[] => {
  const seen: string[] = []
  received(recording)
    .map(event)
    .reduce((session, action) => {
      const next = step(session, action)
      if (seen.at(-1) !== next.phase) {
        seen.push(next.phase)
      }
      return next
    }, after(asked))
  return seen
}

describe('the state machine', () => {
  it('goes from the form to the answer', () => {
    expect(IDLE.phase).toBe('idle')
    expect(after(asked.slice(0, 1)).phase).toBe('creating')
    expect(after(asked)).toMatchObject({ phase: 'connecting', jobId: 'a', input: INPUT })
    expect(phases('queued-then-started')).toEqual(['connecting', 'streaming', 'complete'])
  })

  const whole = recordings.filter((name) => !['pending', 'in_progress'].includes(String(expected(name).status)))

  it.each(whole)('ends %s in a final state that nothing changes', (recording) => {
    const ended = after(received(recording).map(event), after(asked))
    expect(['complete', 'error']).toContain(ended.phase)
    expect(isUnderWay(ended)).toBe(false)
    const late: JobEvent = { event: 'delta', data: { text: 'late', totalLength: 4, timestamp: 1 } }
    expect(step(ended, event({ event: late, id: '9-9' }))).toBe(ended)
    expect(step(ended, { type: 'connection', connection: { state: 'open' } })).toBe(ended)
  })

  it('replays a job that has ended, whatever `connected` says first', () => {
    const replayed = received('happy-path').map((each) =>
      each.event.event === 'connected'
        ? { ...each, event: { event: 'connected', data: { ...each.event.data, status: 'completed' } } as JobEvent }
        : each,
    )
    const ended = after([{ type: 'opened', jobId: 'a' }, ...replayed.map(event)])
    expect(ended.phase).toBe('complete')
    expect(ended.job).toMatchObject(expected('happy-path'))
  })

  it('goes back to connecting while another attempt waits, and no longer counts its time', () => {
    const streaming = after([...asked, ...received('happy-path').slice(0, 9).map(event)])
    expect(streaming).toMatchObject({ phase: 'streaming' })
    expect(streaming.countedFrom).not.toBeNull()
    const queued: JobEvent = { event: 'queued', data: { position: 1, workers: 0, timestamp: 1 } }
    expect(step(streaming, event({ event: queued, id: null }))).toMatchObject({ phase: 'connecting', countedFrom: null })
  })

  const connected: JobEvent = { event: 'connected', data: { jobId: 'a', status: 'in_progress', timestamp: NOW + 10_000 } }
  const started: JobEvent = {
    event: 'started',
    data: { attempt: 1, model: 'm', agent: 'default', cause: null, turnsKept: 0, timestamp: NOW - 20_000 },
  }
  const begun: Action[] = [...asked, event({ event: connected, id: null }), event({ event: started, id: '1-1' })]
  const waiting = (timestamp: number): Action => ({
    type: 'event',
    event: { event: 'waiting', data: { reason: 'overloaded', until: timestamp + 9_000, timestamp } },
    eventId: '1-2',
    receivedAt: NOW,
  })

  it('counts the time of an attempt from its `started`, by its own clock', () => {
    const session = after(begun)
    expect(session.countedFrom).toBe(NOW - 30_000)
    const failed = step(session, { type: 'failed', trouble: LATE })
    expect(failed).toMatchObject({ phase: 'error', countedFrom: null, jobId: 'a' })
    expect(failed.trouble?.title).toBe('Request timed out after 2 minutes')
  })

  it('does not count the time in which the provider has the job wait, whether one event says so or several', () => {
    const paused = after([...begun, waiting(NOW), waiting(NOW + 4_000)])
    expect(paused).toMatchObject({ phase: 'streaming', countedFrom: null, job: { waiting: { until: NOW + 13_000 } } })
    // A connection that comes back in the middle ends no wait.
    expect(step(paused, event({ event: connected, id: null })).job.waiting).not.toBeNull()
    const delta: JobEvent = { event: 'delta', data: { text: 'Go', totalLength: 2, timestamp: NOW + 6_000 } }
    expect(step(paused, event({ event: delta, id: '1-3' }))).toMatchObject({ countedFrom: NOW - 30_000 + 6_000, job: { waiting: null } })
  })

  it('shows a job that this browser has kept without asking the server', () => {
    const job = after(received('happy-path').map(event), after(asked)).job
    const opened = after([{ type: 'opened', jobId: 'a' }])
    expect(opened.isKeptChecked).toBe(false)
    const shown = step(opened, { type: 'kept', jobId: 'a', input: INPUT, job })
    expect(shown).toMatchObject({ phase: 'complete', input: INPUT, isFromKept: true, isKeptChecked: true, trouble: null })
    expect(step(IDLE, { type: 'kept', jobId: 'a', input: INPUT, job })).toBe(IDLE)
  })

  it('watches a job that this browser has not kept, or not to its end', () => {
    const opened = after([{ type: 'opened', jobId: 'a' }, { type: 'not-kept', jobId: 'a', input: INPUT }])
    expect(opened).toMatchObject({ phase: 'connecting', isKeptChecked: true, input: INPUT })
  })

  it('keeps the whole suggestions of a job that failed, and says so', () => {
    const failed = received('failed')
    const suggestion = received('happy-path').find(({ event: { event: name } }) => name === 'suggestion') as Received
    const ended = after([...failed.slice(0, -1), suggestion, ...failed.slice(-1)].map(event), after(asked))
    expect(ended.trouble?.title).toBe('The answer broke off')
    expect(ended.trouble?.detail).toContain('1 suggestion was whole')
  })

  it('can look at the same job again, with its input, and at another without', () => {
    const failed = step(after(asked), { type: 'failed', trouble: LATE })
    expect(step(failed, { type: 'opened', jobId: 'a' })).toMatchObject({ phase: 'connecting', input: INPUT, trouble: null })
    expect(step(failed, { type: 'opened', jobId: 'b' })).toMatchObject({ phase: 'connecting', input: null })
  })

  it('leaves a job that is being watched alone when it is opened again', () => {
    const watching = after(asked)
    expect(step(watching, { type: 'opened', jobId: 'a' })).toBe(watching)
  })

  it('calls a cancelled job neither a failure nor an answer', () => {
    const ended = after(received('cancelled').map(event), after(asked))
    expect(ended).toMatchObject({ phase: 'error', trouble: { kind: 'cancelled' } })
    expect(ended.job.tokenUsage?.totalTokens).toBeGreaterThan(0)
  })

  it('tells whether asking again may help', () => {
    const ended = after(received('failed').map(event), after(asked))
    expect(ended.trouble).toMatchObject({ kind: 'job', isRetryable: false })
  })

  it('ignores a creation that comes when the page has moved on', () => {
    expect(after([{ type: 'left' }, { type: 'created', jobId: 'a' }])).toBe(IDLE)
  })
})
