/** When to come back to a stream that broke, and when to stop trying. Pure. */

/** Until the server says otherwise with `retry:`. */
export const DEFAULT_RETRY_MS = 1_000
export const LONGEST_WAIT_MS = 15_000
/** Three keep-alives missed: the connection is dead, although nobody said so. */
export const STALL_MS = 45_000
/** After waking up, a connection that has been silent for longer than a keep-alive is not trusted. */
export const DOUBTFUL_MS = 20_000
/** So many tries in a row that nobody answered are about ten minutes: as long as the server keeps an answer. */
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
