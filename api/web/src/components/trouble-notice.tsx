import { useEffect, useState } from 'react'
import { cn } from '../cn.ts'
import type { Trouble } from '../trouble.ts'
import { Button } from './button.tsx'
import { Conditional } from './conditional.tsx'

interface TroubleNoticeProps {
  trouble: Trouble
  /** Said after the detail. */
  footnote?: string | undefined
  /** Null where there is nothing to ask again with. */
  onRetry: (() => void) | null
  onLookAgain: () => void
  onStartOver: () => void
}

export const TroubleNotice = ({ trouble, footnote, onRetry, onLookAgain, onStartOver }: TroubleNoticeProps) => {
  const secondsLeft = useSecondsLeft(trouble.retryAfterMs ?? 0)

  const _isCalm = trouble.kind === 'cancelled'
  const _isRetryShown = onRetry !== null && trouble.isRetryable
  const _isForeign = trouble.kind === 'foreign' || trouble.kind === 'missing' || trouble.kind === 'job' || _isCalm

  return (
    <div
      className={cn(
        'rounded-lg border px-4 py-3.5',
        _isCalm ? 'border-line bg-surface' : 'border-alarm bg-alarm-soft',
      )}
    >
      {/* What happened */}
      <div role="alert">
        <h2 className={cn('font-semibold', !_isCalm && 'text-alarm')}>{trouble.title}</h2>
        <p className="mt-0.5 max-w-prose">
          {trouble.detail} {footnote}
        </p>
      </div>

      {/* What to do about it */}
      <div className="mt-3 flex flex-wrap gap-2 empty:hidden">
        <Conditional isShown={_isRetryShown}>
          <Button kind="primary" disabled={secondsLeft > 0} onClick={() => onRetry?.()}>
            {secondsLeft > 0 ? `Try again in ${secondsLeft} s` : 'Try again'}
          </Button>
        </Conditional>
        <Conditional isShown={trouble.kind === 'timeout'}>
          <Button onClick={onLookAgain}>Look again</Button>
        </Conditional>
        <Conditional isShown={trouble.kind === 'signed-out'}>
          <Button kind="primary" onClick={() => location.reload()}>
            Reload the page
          </Button>
        </Conditional>
        <Conditional isShown={_isForeign}>
          <Button onClick={onStartOver}>New request</Button>
        </Conditional>
      </div>
    </div>
  )
}

/** Counts down from when it was first rendered. */
const useSecondsLeft = (waitMs: number): number => {
  const [until] = useState(() => Date.now() + waitMs)
  const [now, setNow] = useState(Date.now)

  const secondsLeft = Math.max(0, Math.ceil((until - now) / 1_000))
  const isOver = secondsLeft === 0

  useEffect(() => {
    if (isOver) {
      return undefined
    }
    const timer = setInterval(() => setNow(Date.now()), 250)
    return () => clearInterval(timer)
  }, [isOver])

  return secondsLeft
}
