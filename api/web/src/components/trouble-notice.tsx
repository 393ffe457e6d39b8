import { cn } from '../cn.ts'
import type { Trouble } from '../trouble.ts'
import { useSecondsUntil } from '../use-now.ts'
import { Button } from './button.tsx'
import { Conditional } from './conditional.tsx'
import { SignInLink } from './sign-in-link.tsx'

interface TroubleNoticeProps {
  trouble: Trouble
  /** Is shown after the detail. */
  footnote?: string | undefined
  /** Repeats the request; null where that is not possible. */
  onRetry: (() => void) | null
  onLookAgain: () => void
  onStartOver: () => void
}

export const TroubleNotice = ({ trouble, footnote, onRetry, onLookAgain, onStartOver }: TroubleNoticeProps) => {
  const secondsLeft = useSecondsUntil(trouble.retryAt)

  const _isCalm = trouble.kind === 'cancelled'
  const _isSignedOut = trouble.kind === 'signed-out'
  const _isWaitable = trouble.kind === 'timeout' || trouble.kind === 'lost'

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
      <div className="mt-3 flex flex-wrap gap-2 empty:hidden print:hidden">
        <Conditional when={_isWaitable}>
          <Button kind="primary" onClick={onLookAgain}>
            Look again
          </Button>
        </Conditional>
        <Conditional when={trouble.isRetryable && onRetry}>
          {(retry) => (
            <Button kind={_isWaitable ? 'plain' : 'primary'} disabled={secondsLeft > 0} onClick={retry}>
              {secondsLeft > 0 ? `Try again in ${secondsLeft} s` : 'Try again'}
            </Button>
          )}
        </Conditional>
        <Conditional when={_isSignedOut}>
          <SignInLink address={trouble.signInUrl} />
          <Button onClick={() => location.reload()}>Reload the page</Button>
        </Conditional>
        <Conditional when={!_isSignedOut && !_isWaitable}>
          <Button onClick={onStartOver}>New request</Button>
        </Conditional>
      </div>
    </div>
  )
}
