/** Decides when to reconnect to a stream that broke, and when to stop trying. Pure. */

/** Used until the server sends `retry:`. */
export const DEFAULT_RETRY_MS = 1_000
export const LONGEST_WAIT_MS = 15_000
/** Three keep-alives are missing: the connection is dead, although it was not closed. */
export const STALL_MS = 45_000
/** After waking up, a connection that has been silent for longer than a keep-alive is not trusted. */
export const DOUBTFUL_MS = 20_000
/** So many tries without an answer take about ten minutes: as long as the server keeps a job's answer. */
export const MOST_FAILURES = 40
/** A token may have expired a second before the next one is there: a 401 ends the watch at the third time only. */
export const SIGN_IN_TRIES = 3

/**
 * How long to wait before the next try. Never less than the server asks for; doubling with each failure in a row; and
 * up to half of it again by chance, so that many clients that were cut off at once do not come back at once.
 */
export const waitMs = (failures: number, retryMs: number, random: number): number => {
  const base = Math.max(retryMs, Math.min(LONGEST_WAIT_MS, retryMs * 2 ** failures))
  return Math.round(base * (1 + random / 2))
}
