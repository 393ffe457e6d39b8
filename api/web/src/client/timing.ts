/** Provides timers, and detects that a computer has woken up. Neither needs a dependency or the DOM. */

/** Holds one timer that can be set again. */
export class Alarm {
  readonly #onRing: () => void
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(onRing: () => void) {
    this.#onRing = onRing
  }

  set(milliseconds: number): void {
    this.clear()
    this.#timer = setTimeout(this.#onRing, milliseconds)
  }

  clear(): void {
    clearTimeout(this.#timer)
  }
}

/** Runs an action with a signal that is aborted when it takes too long. (`AbortSignal.timeout` is missing in browsers of 2022.) */
export const boundedBy = async <Result>(milliseconds: number, action: (signal: AbortSignal) => Promise<Result>): Promise<Result> => {
  const bound = new AbortController()
  const alarm = new Alarm(() => bound.abort())
  alarm.set(milliseconds)
  try {
    return await action(bound.signal)
  } finally {
    alarm.clear()
  }
}

const TICK_MS = 5_000
/** A tick that comes this much too late, in milliseconds, means that the computer has slept. */
const SLEEP_MS = 15_000

/**
 * Calls back when the network is back, the page is visible again, or the computer has slept: then a connection that
 * seems alive may be dead, and the time that went by does not count as waiting. Returns a function that stops this.
 */
export const onWake = (callback: () => void): (() => void) => {
  let tickedAt = Date.now()
  const timer = setInterval(() => {
    const late = Date.now() - tickedAt - TICK_MS
    tickedAt = Date.now()
    if (late > SLEEP_MS) {
      callback()
    }
  }, TICK_MS)
  const handleVisible = (): void => {
    if (globalThis.document?.visibilityState === 'visible') {
      callback()
    }
  }
  globalThis.addEventListener?.('online', callback)
  globalThis.addEventListener?.('pageshow', callback)
  globalThis.document?.addEventListener('visibilitychange', handleVisible)
  return () => {
    clearInterval(timer)
    globalThis.removeEventListener?.('online', callback)
    globalThis.removeEventListener?.('pageshow', callback)
    globalThis.document?.removeEventListener('visibilitychange', handleVisible)
  }
}

/** Waits for this long. A computer that wakes up, or the signal, ends the wait early. */
export const pause = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer)
      stopListening()
      signal.removeEventListener('abort', finish)
      resolve()
    }
    const timer = setTimeout(finish, milliseconds)
    const stopListening = onWake(finish)
    signal.addEventListener('abort', finish)
    if (signal.aborted) {
      finish()
    }
  })
