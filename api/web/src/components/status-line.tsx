import { type ReactNode, useMemo } from 'react'
import { cn } from '../cn.ts'
import type { Job } from '../client/transcript.ts'
import { progressOf } from '../progress.ts'
import type { Session } from '../session.ts'
import { modelName, statusWords } from '../status.ts'
import { useNow, useSecondsUntil } from '../use-now.ts'
import { CAUSE_WORDS, clockWords, queueWords, waitWords } from '../words.ts'
import { writtenIn } from '../written.ts'
import { Conditional } from './conditional.tsx'

interface StatusLineProps {
  session: Session
  /** How long an answer usually takes. */
  usualMs: number
  /** Is shown at the end of the line once the answer is complete. */
  children: ReactNode
}

export const StatusLine = ({ session, usualMs, children }: StatusLineProps) => {
  const { phase, job, connection, beganAt, heardAt, clockOffsetMs } = session
  const _words = useMemo(() => statusWords(phase, job), [phase, job])
  const _isBusy = phase === 'creating' || phase === 'connecting' || phase === 'streaming'
  const _isStreaming = phase === 'streaming'
  const _wait = _isStreaming ? job.waiting : null

  return (
    <div className={cn('grid gap-2', phase === 'error' && 'hidden')}>
      {/* What is going on; the height stays, so that nothing jumps at the end */}
      <div className="flex min-h-9 flex-wrap items-center justify-between gap-x-3">
        <p data-testid="status" className="font-medium">
          {_words}
        </p>
        <Conditional when={_isBusy && beganAt}>{(at) => <Elapsed since={at} />}</Conditional>
        {children}
      </div>
      <Conditional when={_isStreaming}>
        <StreamingBar session={session} usualMs={usualMs} />
      </Conditional>
      <Conditional when={_isBusy && !_isStreaming}>
        <progress aria-label="Waiting" className="bar" max={100} />
      </Conditional>
      <Conditional when={phase === 'complete'}>
        <div className="h-1.5 rounded-full bg-accent print:hidden" />
      </Conditional>

      {/* Why it takes time, or starts over */}
      <Conditional when={phase === 'connecting' && queueWords(job)}>
        {(words) => <p className="text-sm text-quiet">{words}</p>}
      </Conditional>
      <Cause job={job} />
      <Conditional when={_wait}>
        {({ reason, until }) => <ProviderWait words={waitWords(reason)} until={until - clockOffsetMs} />}
      </Conditional>
      <Conditional when={_isStreaming && _wait === null && connection.state === 'open' && heardAt}>
        {(at) => <SilenceNote since={at} name={modelName(job.started?.model === 'sandbox')} />}
      </Conditional>
      <Conditional when={_isBusy && connection.state === 'waiting'}>
        <p className="rounded-md bg-warning-soft px-3 py-1.5 text-sm text-warning">
          {connection.state === 'waiting' && connection.isFull
            ? 'This page is open in too many tabs at once. It goes on by itself when you close one of them.'
            : 'The connection was lost. Reconnecting… Nothing is lost: it goes on where it was.'}
        </p>
      </Conditional>
    </div>
  )
}

/** After this long without an event the page says that the connection stands: models may think for a minute. */
const SILENCE_MS = 10_000

interface SilenceNoteProps {
  since: number
  name: string
}

/** Explains that it is no error when nothing has come for a while. */
const SilenceNote = ({ since, name }: SilenceNoteProps) => {
  const now = useNow(true)

  return (
    <Conditional when={now - since >= SILENCE_MS}>
      <p className="animate-appear text-sm text-quiet">
        Still connected: {name} is thinking, which can take a minute without a word.
      </p>
    </Conditional>
  )
}

const Elapsed = ({ since }: { since: number }) => {
  const now = useNow(true)

  return (
    <span data-testid="elapsed" className="text-sm text-quiet tabular-nums">
      <span className="sr-only">Time so far: </span>
      {clockWords(now - since)}
    </span>
  )
}

interface StreamingBarProps {
  session: Session
  usualMs: number
}

const StreamingBar = ({ session: { job, stepBeganAt }, usualMs }: StreamingBarProps) => {
  const _isRunning = job.waiting === null
  const now = useNow(_isRunning)

  const _whole = job.suggestions?.length ?? 0
  const _isWriting = useMemo(() => writtenIn(job.text ?? '', _whole).draft !== null, [job.text, _whole])
  const _percent = progressOf(_whole, _isWriting, now - (stepBeganAt ?? now), usualMs)

  return <progress aria-label="Progress of the answer" className="bar" max={100} value={_percent} />
}

const Cause = ({ job: { started, answer } }: { job: Job }) => (
  <Conditional when={started?.cause}>
    {(cause) => (
      <p className="text-sm text-warning">
        Attempt {started?.attempt}. {CAUSE_WORDS[cause]}, so {goesOn(started, answer !== null)}.
      </p>
    )}
  </Conditional>
)

/** Says how an attempt after the first begins: from what was read before, or from the start. */
const goesOn = (started: Job['started'], isOver: boolean): string => {
  if (started !== null && started.turnsKept > 0) {
    return isOver ? 'it went on from what it had already read' : 'it goes on from what it has already read'
  }
  return isOver ? 'the answer was started over' : 'the answer starts over'
}

const ProviderWait = ({ words, until }: { words: string; until: number }) => {
  const seconds = useSecondsUntil(until)

  return (
    <p className="rounded-md bg-warning-soft px-3 py-1.5 text-sm text-warning">
      {words}.{' '}
      <span className="tabular-nums">
        {seconds > 0 ? `It is asked again in ${seconds} s.` : 'It is being asked again…'}
      </span>{' '}
      Nothing is lost: your request goes on by itself.
    </p>
  )
}
