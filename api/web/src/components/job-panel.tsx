import { useCallback, useEffect, useMemo, useRef } from 'react'
import { download } from '../clipboard.ts'
import type { Suggestion } from '../client/types.gen.ts'
import type { Refinement } from '../draft.ts'
import { isTyping } from '../focus.ts'
import { allMarkdown, fileName } from '../markdown.ts'
import { fileUrl } from '../repository.ts'
import type { SuggestFeature } from '../use-suggest-feature.ts'
import { tokenWords } from '../words.ts'
import { Button } from './button.tsx'
import { Conditional } from './conditional.tsx'
import { CopyButton } from './copy-button.tsx'
import { JobAnswer } from './job-answer.tsx'
import { JobFoot } from './job-foot.tsx'
import { JobHeader } from './job-header.tsx'
import { NotifyButton } from './notify-button.tsx'
import { StatusLine } from './status-line.tsx'
import { TroubleNotice } from './trouble-notice.tsx'

interface JobPanelProps {
  feature: SuggestFeature
  usualMs: number
  repositoryUrl: string | null
  onRefine: (suggestion: Suggestion, refinement: Refinement) => void
  onStartOver: () => void
}

export const JobPanel = ({ feature, usualMs, repositoryUrl, onRefine, onStartOver }: JobPanelProps) => {
  const panel = useRef<HTMLElement>(null)

  const { phase, job, trouble, request, isBusy, jobId } = feature
  const _page = request?.pageOrComponent ?? null
  const _isCreating = phase === 'creating'
  const _used = job.tokenUsage !== null && job.status === 'cancelled' ? `Used: ${tokenWords(job.tokenUsage)}.` : undefined
  const _agent = job.started === null || job.started.agent === 'default' ? null : job.started.agent
  const _actions = useMemo(() => ({ page: _page, onRefine }), [_page, onRefine])

  // The view moves to a job that begins, is opened or fails, unless the person is typing.
  useEffect(() => {
    if (isTyping()) {
      return
    }
    panel.current?.focus({ preventScroll: true })
    panel.current?.scrollIntoView?.({ block: 'start' })
    // oxlint-disable-next-line react/exhaustive-deps, react/exhaustive-effect-dependencies -- these tell of such a moment
  }, [jobId, _isCreating, trouble])

  const markdown = useCallback(
    () =>
      allMarkdown({
        request,
        suggestions: job.suggestions ?? [],
        answer: job.answer,
        at: job.answer?.timestamp ?? Date.now(),
        urlOf: (path) => fileUrl(repositoryUrl, path),
      }),
    [request, job, repositoryUrl],
  )

  return (
    <section ref={panel} tabIndex={-1} aria-labelledby="job-title" className="grid scroll-mt-3 content-start gap-4">
      <JobHeader feature={feature} onStartOver={onStartOver} />

      {/* How it stands */}
      <StatusLine session={feature} usualMs={usualMs}>
        <Conditional when={phase === 'complete'}>
          <div className="-mx-3 flex print:hidden">
            <CopyButton
              label={
                <>
                  Copy all<span className="max-sm:sr-only"> as Markdown</span>
                </>
              }
              accessibleLabel="Copy all as Markdown"
              text={markdown}
            />
            <Button kind="quiet" onClick={() => download(fileName(_page), markdown())}>
              Download
            </Button>
          </div>
        </Conditional>
      </StatusLine>
      <Conditional when={isBusy && feature.isCancelRefused}>
        <p role="alert" className="text-sm text-alarm">
          The request to cancel did not reach the server. It still works on it; you can press “Cancel” once more.
        </p>
      </Conditional>
      <Conditional when={trouble}>
        {(known) => (
          <TroubleNotice
            trouble={known}
            footnote={_used}
            onRetry={request === null ? null : feature.retry}
            onLookAgain={feature.lookAgain}
            onStartOver={onStartOver}
          />
        )}
      </Conditional>

      {/* The answer */}
      <JobAnswer feature={feature} repositoryUrl={repositoryUrl} actions={_actions} />
      <Conditional when={isBusy && jobId !== null}>
        <NotifyButton />
      </Conditional>
      <Conditional when={job.answer?.isPartial}>
        <p className="rounded-md bg-warning-soft px-3 py-1.5 text-sm text-warning">
          The model was cut short before it had finished: these suggestions are whole, but there might have been more.
        </p>
      </Conditional>
      <Conditional when={job.answer}>{(answer) => <JobFoot answer={answer} agent={_agent} />}</Conditional>
    </section>
  )
}
