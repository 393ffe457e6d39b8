/** Folds the events seen so far into the current state of a job. Pure, and the same in Python (shared/contract/events.py). */

import type {
  Cause,
  Complete,
  JobEvent,
  JobError,
  JobStatus,
  Started,
  Suggestion,
  TokenUsage,
  ToolName,
  Wait,
} from './types.gen.ts'

/** Has the fields that the fold in Python has too. */
export interface Transcript {
  status: JobStatus
  attempt: number | null
  lastEventId: string | null
  text: string | null
  suggestions: readonly Suggestion[] | null
  isPartial: boolean
  tokenUsage: TokenUsage | null
  error: JobError | null
  queuePosition: number | null
  waiting: Wait | null
}

export interface ToolUse {
  name: ToolName
  input: Record<string, unknown>
}

/** Holds what the model says it is doing, and how many tool calls came before. */
export interface PlacedNote {
  text: string
  toolsBefore: number
}

/** Adds what only the page shows to a transcript. */
export interface Job extends Transcript {
  workers: number | null
  started: Started | null
  totalLength: number
  tools: readonly ToolUse[]
  notes: readonly PlacedNote[]
  /** Since when the model's provider has taken no requests, by the server's clock. */
  waitingSince: number | null
  /** How long this attempt has waited for the provider so far, in milliseconds. That does not count towards its time limit. */
  waitedMs: number
  answer: Complete | null
}

export const EMPTY_JOB: Job = {
  status: 'pending',
  attempt: null,
  lastEventId: null,
  text: null,
  suggestions: null,
  isPartial: false,
  tokenUsage: null,
  error: null,
  queuePosition: null,
  waiting: null,
  workers: null,
  started: null,
  totalLength: 0,
  tools: [],
  notes: [],
  waitingSince: null,
  waitedMs: 0,
  answer: null,
}

/** Returns the job after one more event. `started` discards all that an earlier attempt showed. */
export const fold = (job: Job, event: JobEvent, eventId: string | null = null): Job => {
  const next = applied(afterWait(job, event), event)
  const lastEventId = eventId ?? next.lastEventId
  const place = event.event === 'queued' ? {} : { queuePosition: null, workers: null }
  return { ...next, ...place, lastEventId }
}

/** Ends a wait at the next event of the job; `connected` is an event of the connection. */
const afterWait = (job: Job, { event, data }: JobEvent): Job => {
  if (job.waitingSince === null || event === 'waiting' || event === 'connected') {
    return job
  }
  const waitedMs = job.waitedMs + Math.max(0, data.timestamp - job.waitingSince)
  return { ...job, waiting: null, waitingSince: null, waitedMs }
}

const applied = (job: Job, { event, data }: JobEvent): Job => {
  switch (event) {
    case 'connected':
      return { ...job, status: data.status }
    case 'queued':
      return { ...job, queuePosition: data.position, workers: data.workers }
    case 'started':
      return { ...EMPTY_JOB, status: 'in_progress', attempt: data.attempt, started: data }
    case 'delta':
      return { ...job, text: (job.text ?? '') + data.text, totalLength: data.totalLength }
    case 'tool':
      return { ...job, tools: [...job.tools, { name: data.name, input: data.input }] }
    case 'waiting':
      return {
        ...job,
        waiting: { reason: data.reason, until: data.until },
        waitingSince: job.waitingSince ?? data.timestamp, // the first of several `waiting` events is when the wait began
      }
    case 'note':
      return { ...job, notes: [...job.notes, { text: data.text, toolsBefore: job.tools.length }] }
    case 'suggestion':
      return { ...job, suggestions: [...(job.suggestions ?? []), data.suggestion] }
    case 'complete':
      return {
        ...job,
        status: 'completed',
        suggestions: data.suggestions,
        isPartial: data.isPartial,
        tokenUsage: data.tokenUsage,
        answer: data,
      }
    case 'error':
      return {
        ...job,
        status: 'failed',
        error: { message: data.message, code: data.code, retryable: data.retryable },
      }
    case 'cancelled':
      return { ...job, status: 'cancelled', tokenUsage: data.tokenUsage }
    default:
      return job // an event of a newer server
  }
}

/** Why an attempt is not the first, when it is not. */
export const causeOf = (job: Job): Cause | null => job.started?.cause ?? null
