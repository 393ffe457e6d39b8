/** The fold: a job as it stands, from the events seen so far. Pure, and the same in Python (shared/contract/events.py). */

import type {
  Cause,
  Complete,
  JobError,
  JobEvent,
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
  answer: Complete | null
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
  answer: null,
}

/** The job after one more event. `started` forgets all that an earlier attempt showed. */
export const fold = (job: Job, event: JobEvent, eventId: string | null = null): Job => {
  const next = applied(job, event)
  const lastEventId = eventId ?? next.lastEventId
  return event.event === 'queued' ? { ...next, lastEventId } : { ...next, lastEventId, queuePosition: null, workers: null }
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
