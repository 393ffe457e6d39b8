/** Estimates how far an attempt has come, in percent. Pure. */

/** A usual answer takes this long where nothing is known of earlier ones, in milliseconds. */
export const USUAL_MS = 60_000
/** The share of looking at the project and thinking, before the first suggestion begins. */
const LOOKING_SHARE = 16
/** The share of each suggestion; an answer has three to five. */
const SUGGESTION_SHARE = 16
const MOST_STEPS = 5
const MOST_BEFORE_THE_END = 97

/**
 * Each complete suggestion moves the bar by a step. Within a step it moves with time, ever more slowly and never to the
 * next step, so that it does not run ahead of the answer and never stands quite still.
 */
export const progressOf = (whole: number, isWriting: boolean, msInStep: number, usualMs: number): number => {
  if (whole >= MOST_STEPS) {
    return MOST_BEFORE_THE_END
  }
  const floor = isWriting || whole > 0 ? LOOKING_SHARE + whole * SUGGESTION_SHARE : 0
  const usualStepMs = Math.max(1, usualMs / MOST_STEPS)
  const share = isWriting || whole > 0 ? SUGGESTION_SHARE : LOOKING_SHARE
  const part = 1 - Math.exp(-Math.max(0, msInStep) / usualStepMs)
  return Math.min(floor + share - 1, Math.floor(floor + share * part))
}
