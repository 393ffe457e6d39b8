/** Decides when to reconnect to a stream that broke, and when to stop trying. Pure. */

/** The pause before a reconnect until the server sends `retry:`. */
export const DEFAULT_RETRY_MS = 1_000
export const LONGEST_WAIT_MS = 15_000
/** A connection that is silent for this long, three keep-alives, counts as dead, although it was not closed. */
export const STALL_MS = 45_000
/** After the computer has slept, a connection that has been silent for longer than a keep-alive is replaced. */
export const DOUBTFUL_MS = 20_000
/** This many tries without an answer take about ten minutes, as long as the server keeps a job's answer. */
export const MOST_FAILURES = 40
/** Only the third 401 in a row ends the watch, since a token may expire a moment before it is replaced. */
export const SIGN_IN_TRIES = 3

/**
 * Returns how long to wait before the next try: never less than the server asks for, twice as long after each failure
 * in a row, and up to half as long again at random, so that many clients do not all reconnect at once.
 */
export const waitMs = (failures: number, retryMs: number, random: number): number => {
  const base = Math.max(retryMs, Math.min(LONGEST_WAIT_MS, retryMs * 2 ** failures))
  return Math.round(base * (1 + random / 2))
}
