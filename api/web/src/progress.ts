/** How far an attempt has come, in percent. Pure. */

import type { Phase } from './session.ts'
import type { Job } from './transcript.ts'

/** A usual answer's length, in characters. */
const USUAL_LENGTH = 2_000
const MOST_BEFORE_THE_END = 95

/** `totalLength` only grows within an attempt, and so does this. */
export const progressOf = (phase: Phase, job: Job): number =>
  phase === 'complete' ? 100 : Math.min(MOST_BEFORE_THE_END, Math.floor((job.totalLength / USUAL_LENGTH) * 100))
