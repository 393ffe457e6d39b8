/** The fold: a job as it stands, from the events seen so far. Pure, and the same in Python (shared/contract/events.py). */

import type { Answer, StreamEvent, Wait } from './second-version.ts'
import type {
  Cause,
  JobError,
  JobStatus,
  Started,
  Suggestion,
  TokenUsage,
  ToolName,
} from './types.gen.ts'

/** What Python folds as well, field by field. */
export interface Transcript {
  status: JobStatus
  attempt: number | null
  lastEventId: string | null
  text: string | null
  suggestions: readonly Suggestion[] | null
  tokenUsage: TokenUsage | null
  error: JobError | null
  queuePosition: number | null
}

export interface ToolUse {
  name: ToolName
  input: Record<string, unknown>
}

/** A transcript, and what only the page shows. */
export interface Job extends Transcript {
  workers: number | null
  started: Started | null
  totalLength: number
  tools: readonly ToolUse[]
  /** What the model says it is doing; the last one is the newest. */
  notes: readonly string[]
  /** The model's provider does not take requests now. */
  wait: Wait | null
  /** How long this attempt has waited for the provider so far, in milliseconds; its time limit stands still meanwhile. */
  waitedMs: number
  answer: Answer | null
}

export const EMPTY_JOB: Job = {
  status: 'pending',
  attempt: null,
  lastEventId: null,
  text: null,
  suggestions: null,
  tokenUsage: null,
  error: null,
  queuePosition: null,
  workers: null,
  started: null,
  totalLength: 0,
  tools: [],
  notes: [],
  wait: null,
  waitedMs: 0,
  answer: null,
}

/** The job after one more event. `started` forgets all that an earlier attempt showed. */
export const fold = (job: Job, event: StreamEvent, eventId: string | null = null): Job => {
  const next = applied(afterWait(job, event), event)
  const lastEventId = eventId ?? next.lastEventId
  return event.event === 'queued' ? { ...next, lastEventId } : { ...next, lastEventId, queuePosition: null, workers: null }
}

/** The next event of the job ends a wait; `connected` belongs to the connection. */
const afterWait = (job: Job, { event, data }: StreamEvent): Job => {
  if (job.wait === null || event === 'waiting' || event === 'connected') {
    return job
  }
  return { ...job, wait: null, waitedMs: job.waitedMs + Math.max(0, data.timestamp - job.wait.timestamp) }
}

const applied = (job: Job, { event, data }: StreamEvent): Job => {
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
      // The first of several tells since when.
      return { ...job, wait: { ...data, timestamp: job.wait?.timestamp ?? data.timestamp } }
    case 'note':
      return { ...job, notes: [...job.notes, data.text] }
    case 'suggestion':
      return { ...job, suggestions: [...(job.suggestions ?? []), data.suggestion] }
    case 'complete':
      return {
        ...job,
        status: 'completed',
        suggestions: data.suggestions,
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
