/** Decides when a job is late: never by the clock alone, but by asking the server. */

import { ApiError } from './client/api-error.ts'
import { pause } from './client/timing.ts'
import type { JobView } from './client/types.gen.ts'

/** The time to wait after the deadline: the server ends a late job itself, and its event may be on the way. */
const GRACE_MS = 2_000
const UNREACHABLE_PAUSE_MS = 5_000

export interface Waiting {
  /** By this computer's clock. */
  deadline: number
  attempt: number | null
  signal: AbortSignal
  readJob: () => Promise<JobView>
}

/**
 * Resolves some time after the deadline: `late` where the server says, twice, that it still works on the job; `elsewhere` where
 * the stream should have shown another state by now. While the server cannot be reached nothing is known, so nothing is said.
 */
export const lateness = async ({ deadline, attempt, signal, readJob }: Waiting): Promise<'late' | 'elsewhere' | 'aborted'> => {
  while (!signal.aborted && Date.now() < deadline) {
    await pause(deadline - Date.now(), signal)
  }
  let confirmations = 0
  while (!signal.aborted) {
    const isAtIt = await isAtWork(attempt, readJob)
    confirmations += isAtIt === true ? 1 : 0
    if (confirmations > 1) {
      return signal.aborted ? 'aborted' : 'late'
    }
    await pause(isAtIt === null ? UNREACHABLE_PAUSE_MS : GRACE_MS, signal)
    if (isAtIt === false && !signal.aborted) {
      return 'elsewhere'
    }
  }
  return 'aborted'
}

/** Returns whether the server still works on that attempt; null where it does not answer. */
const isAtWork = async (attempt: number | null, readJob: () => Promise<JobView>): Promise<boolean | null> => {
  try {
    const job = await readJob()
    return job.status === 'in_progress' && job.attempt === attempt && job.waiting === null
  } catch (error) {
    return error instanceof ApiError && (error.status === 404 || error.status === 403) ? false : null
  }
}
