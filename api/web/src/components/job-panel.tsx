import { useEffect, useRef } from 'react'
import { allMarkdown } from '../markdown.ts'
import type { SuggestFeature } from '../use-suggest-feature.ts'
import { FEATURE_TYPE_WORDS, PRIORITY_WORDS, tokenWords } from '../words.ts'
import { Button } from './button.tsx'
import { Conditional } from './conditional.tsx'
import { CopyButton } from './copy-button.tsx'
import { LiveText } from './live-text.tsx'
import { ResultsSummary } from './results-summary.tsx'
import { StatusLine } from './status-line.tsx'
import { SuggestionCard } from './suggestion-card.tsx'
import { ToolLines } from './tool-lines.tsx'
import { TroubleNotice } from './trouble-notice.tsx'

interface JobPanelProps {
  feature: SuggestFeature
  onStartOver: () => void
}

export const JobPanel = ({ feature, onStartOver }: JobPanelProps) => {
  const panel = useRef<HTMLElement>(null)

  const { phase, job, connection, trouble, request, jobId, isBusy } = feature
  const _title = request?.pageOrComponent ?? 'Your request'
  const _kind = request
    ? `${FEATURE_TYPE_WORDS[request.featureType]}, ${PRIORITY_WORDS[request.priorityLevel].toLowerCase()} priority`
    : ''
  const _text = job.text ?? ''
  const _suggestions = job.suggestions ?? []
  const _used = job.tokenUsage !== null && job.status === 'cancelled' ? `Used: ${tokenWords(job.tokenUsage)}.` : undefined
  const _agent = job.started === null || job.started.agent === 'default' ? null : job.started.agent
  const _isStreaming = phase === 'streaming'
  const _isTextLive = isBusy && (_isStreaming || _text !== '')

  // Where a job begins or fails, there the reader should be: on a phone the form fills the screen.
  useEffect(() => {
    if (phase === 'creating' || phase === 'error') {
      panel.current?.focus()
    }
  }, [phase])

  return (
    <section ref={panel} tabIndex={-1} aria-labelledby="job-title" className="grid scroll-mt-4 content-start gap-4">
      {/* What was asked */}
      <header className="flex flex-wrap items-start justify-between gap-x-4 gap-y-2">
        <div className="min-w-0">
          <h2 id="job-title" className="text-lg leading-snug font-semibold wrap-anywhere">
            {_title}
          </h2>
          <p className="text-sm text-quiet">{_kind}</p>
        </div>
        <Conditional isShown={isBusy && jobId !== null}>
          <Button disabled={feature.isCancelling} onClick={feature.cancel}>
            {feature.isCancelling ? 'Cancelling…' : 'Cancel'}
          </Button>
        </Conditional>
        <Conditional isShown={phase === 'complete'}>
          <div className="flex gap-2">
            <Button onClick={feature.retry} disabled={request === null}>
              Ask again
            </Button>
            <Button onClick={onStartOver}>New request</Button>
          </div>
        </Conditional>
      </header>

      {/* How it stands */}
      <StatusLine phase={phase} job={job} connection={connection}>
        <Conditional isShown={phase === 'complete'}>
          <CopyButton
            label="Copy all as Markdown"
            text={() => allMarkdown(request?.pageOrComponent ?? null, _suggestions)}
            className="-my-2 -mr-2"
          />
        </Conditional>
      </StatusLine>
      <Conditional isShown={isBusy && feature.isCancelRefused}>
        <p role="alert" className="text-sm text-alarm">
          Cancelling did not work. Please try again.
        </p>
      </Conditional>
      {trouble === null ? null : (
        <TroubleNotice
          trouble={trouble}
          footnote={_used}
          onRetry={request === null ? null : feature.retry}
          onLookAgain={feature.lookAgain}
          onStartOver={onStartOver}
        />
      )}
      {job.answer === null ? null : <ResultsSummary answer={job.answer} agent={_agent} />}

      {/* The answer, while it is written */}
      <Conditional isShown={isBusy}>
        <ToolLines tools={job.tools} />
      </Conditional>
      <Conditional isShown={_isTextLive}>
        <LiveText key={job.attempt} text={_text} isWriting={_isStreaming} />
      </Conditional>

      {/* What is whole */}
      <div className="grid gap-3 empty:hidden">
        {_suggestions.map((suggestion, index) => (
          // oxlint-disable-next-line react/no-array-index-key -- a suggestion's place is what it is known by
          <SuggestionCard key={index} suggestion={suggestion} number={index + 1} />
        ))}
      </div>

      {/* How it was written */}
      <Conditional isShown={!isBusy && _text !== ''}>
        <details className="text-sm">
          <summary className="w-fit rounded text-quiet hover:text-ink">The text as it was written</summary>
          <div className="mt-2 grid gap-3">
            <ToolLines tools={job.tools} />
            <p className="rounded-md border border-line bg-sunken px-3.5 py-3 whitespace-pre-wrap wrap-anywhere">
              {_text}
            </p>
          </div>
        </details>
      </Conditional>
    </section>
  )
}
