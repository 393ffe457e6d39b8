import { useEffect, useState } from 'react'

const TICK_MS = 250

/** Returns the time by this computer's clock, updated only while it is needed. */
export const useNow = (isRunning: boolean): number => {
  const [now, setNow] = useState(Date.now)

  useEffect(() => {
    if (!isRunning) {
      return undefined
    }
    const tick = (): void => setNow(Date.now())
    const first = setTimeout(tick)
    const timer = setInterval(tick, TICK_MS)
    return () => {
      clearTimeout(first)
      clearInterval(timer)
    }
  }, [isRunning])

  return now
}

/** Returns the whole seconds until then; 0 where there is nothing to wait for. */
export const useSecondsUntil = (at: number | null): number => {
  const now = useNow(at !== null)

  return at === null ? 0 : Math.max(0, Math.ceil((at - now) / 1_000))
}
