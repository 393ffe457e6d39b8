import type { ReactNode } from 'react'
import { cn } from '../cn.ts'
import { progressOf } from '../progress.ts'
import type { Phase } from '../session.ts'
import type { Connection } from '../stream.ts'
import { causeOf, type Job } from '../transcript.ts'
import { CAUSE_WORDS, countWords, queueWords } from '../words.ts'
import { Conditional } from './conditional.tsx'

interface StatusLineProps {
  phase: Phase
  job: Job
  connection: Connection
  /** Stands at the end of the line. */
  children: ReactNode
}

const PHASE_WORDS: Partial<Record<Phase, string>> = {
  creating: 'Creating job…',
  connecting: 'Connecting to AI…',
  streaming: 'Generating suggestions…',
}

export const StatusLine = ({ phase, job, connection, children }: StatusLineProps) => {
  const _count = job.suggestions?.length ?? 0
  const _words = phase === 'complete' ? countWords(_count, 'suggestion') : PHASE_WORDS[phase]
  const _isBusy = phase !== 'complete' && phase !== 'error'
  const _isStreaming = phase === 'streaming'
  const _percent = progressOf(phase, job)
  const _cause = causeOf(job)
  const _queue = phase === 'connecting' ? queueWords(job) : null
  const _isWaiting = _isBusy && connection.state === 'waiting'
  const _reason = connection.state === 'waiting' ? connection.reason : null

  return (
    <div className={cn('grid gap-2', phase === 'error' && 'sr-only')}>
      {/* What is going on; one live region for all of it, so that changes are heard */}
      <div className="flex items-baseline justify-between gap-3">
        <p role="status" className="font-medium">
          {_words}
        </p>
        <Conditional isShown={_isStreaming}>
          <span className="text-sm text-quiet tabular-nums">{_percent}%</span>
        </Conditional>
        {children}
      </div>
      <Conditional isShown={_isBusy}>
        <progress
          aria-label={_isStreaming ? 'Progress of the answer' : 'Waiting'}
          className="bar"
          max={100}
          {...(_isStreaming ? { value: _percent } : {})}
        />
      </Conditional>

      {/* Why it takes time, or starts over */}
      <Conditional isShown={_queue !== null}>
        <p className="text-sm text-quiet">{_queue}</p>
      </Conditional>
      <Conditional isShown={_isStreaming && _cause !== null}>
        <p className="text-sm text-warning">
          Attempt {job.attempt}. {_cause === null ? '' : CAUSE_WORDS[_cause]}
        </p>
      </Conditional>
      <Conditional isShown={_isWaiting}>
        <p role="status" className="rounded-md bg-warning-soft px-3 py-1.5 text-sm text-warning">
          {_reason === null
            ? 'The connection was lost. Reconnecting… Nothing is lost: it goes on where it was.'
            : `${_reason} This goes on by itself when another one is closed.`}
        </p>
      </Conditional>
    </div>
  )
}
