/** Describes a request and its outcome, as this browser keeps them. Pure. */

import type { Job } from '../client/transcript.ts'
import { EMPTY_JOB } from '../client/transcript.ts'
import type { JobStatus, SuggestFeatureRequest } from '../client/types.gen.ts'
import { USUAL_MS } from '../progress.ts'

export interface KeptRequest {
  jobId: string
  /** When it was asked or first seen, by this computer's clock. */
  createdAt: number
  input: SuggestFeatureRequest
  /** As it ended; as it was last seen where the end has not come. */
  job: Job
  /** The server has let go of it, and this browser has not seen how it ended. */
  isEndUnknown?: boolean
}

/** The most requests that are kept; the oldest are removed first. */
export const MOST_KEPT = 200

export const asked = (jobId: string, input: SuggestFeatureRequest, createdAt: number): KeptRequest => ({
  jobId,
  createdAt,
  input,
  job: EMPTY_JOB,
})

export const isOver = ({ status }: { status: JobStatus }): boolean =>
  status === 'completed' || status === 'failed' || status === 'cancelled'

export const outcomeWords = ({ job, isEndUnknown = false }: KeptRequest): string => {
  switch (job.status) {
    case 'completed':
      return `${job.suggestions?.length ?? 0} suggestions`
    case 'failed':
      return 'Failed'
    case 'cancelled':
      return 'Cancelled'
    default:
      return isEndUnknown ? 'End not seen' : 'In progress'
  }
}

const LEAST_SAMPLES = 3

/** Returns how long answers usually take: the median of those kept, in milliseconds. */
export const usualMs = (kept: readonly KeptRequest[]): number => {
  const times = kept.flatMap(({ job }) => (job.answer === null ? [] : [job.answer.executionTimeMs])).toSorted((a, b) => a - b)
  return times.length < LEAST_SAMPLES ? USUAL_MS : (times[Math.floor(times.length / 2)] ?? USUAL_MS)
}

const DAY_MS = 86_400_000

/** Returns the time as "14:05" for today, else the day. */
export const timeWords = (at: number, now: number): string => {
  const date = new Date(at)
  const isToday = date.toDateString() === new Date(now).toDateString()
  if (isToday) {
    return date.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })
  }
  const isRecent = now - at < 180 * DAY_MS
  return date.toLocaleDateString(undefined, isRecent ? { day: 'numeric', month: 'short' } : { dateStyle: 'medium' })
}
