import { useQuery } from '@tanstack/react-query'
import { useCallback, useEffect, useMemo, useState } from 'react'
import { readOptions } from './client/api.ts'
import { onWake } from './client/timing.ts'
import type { FieldProblem, Options, Suggestion } from './client/types.gen.ts'
import { cn } from './cn.ts'
import { AgentDialog } from './components/agent-dialog.tsx'
import { Announcer } from './components/announcer.tsx'
import { Button } from './components/button.tsx'
import { Conditional } from './components/conditional.tsx'
import { JobPanel } from './components/job-panel.tsx'
import { KeptList } from './components/kept-list.tsx'
import { PageHeader } from './components/page-header.tsx'
import { RequestForm } from './components/request-form.tsx'
import { TroubleNotice } from './components/trouble-notice.tsx'
import { Welcome } from './components/welcome.tsx'
import { type Refinement, refinedContext, requestOf } from './draft.ts'
import { usualMs } from './kept/record.ts'
import { useKept } from './kept/use-kept.ts'
import { notify } from './notify.ts'
import { statusWords, tabTitle } from './status.ts'
import { remember, remembered } from './storage.ts'
import { SIGNED_OUT, troubleOf } from './trouble.ts'
import { useDraft } from './use-draft.ts'
import { useSuggestFeature } from './use-suggest-feature.ts'

const NO_PROBLEMS: readonly FieldProblem[] = []
/** Until the server has said how long it gives an attempt. */
const USUAL_TIMEOUT_SECONDS = 120
const SIGN_IN = 'sign-in'
const NOTICE_MS = 6_000

export const App = () => {
  const [isAgentOpen, setIsAgentOpen] = useState(false)
  const [notice, setNotice] = useState<string | null>(null)
  /** On a small screen the form is folded away while there is something else to see. */
  const [isUnfolded, setIsUnfolded] = useState(false)

  const kept = useKept()
  const options = useQuery<Options>({
    queryKey: ['options'],
    queryFn: readOptions,
    staleTime: Number.POSITIVE_INFINITY,
  })
  const timeoutMs = (options.data?.limits.jobTimeoutSeconds ?? USUAL_TIMEOUT_SECONDS) * 1_000
  const feature = useSuggestFeature({ timeoutMs, onKeep: kept.keep })
  const { phase, job, jobId, request, trouble, isBusy } = feature
  const { draft, change, markSent } = useDraft(request, jobId !== null && request !== null)

  const _isSandbox = options.data?.isSandbox ?? false
  const _isSignedOut = options.error !== null && troubleOf(options.error).kind === 'signed-out'
  const _signInUrl = options.data?.signInUrl ?? (remembered(SIGN_IN) as string | null)
  // Errors of fields are shown at the fields.
  const _isWelcoming = phase === 'idle' || trouble?.kind === 'fields'
  const _isFolded = !_isWelcoming && !isUnfolded
  const _usualMs = useMemo(() => usualMs(kept.requests), [kept.requests])

  useEffect(() => {
    if (options.data !== undefined) {
      // Asked when somebody is signed out, and then the server does not say.
      remember(SIGN_IN, options.data.signInUrl ?? null)
    }
  }, [options.data])

  useSignInAgain(_isSignedOut || trouble?.kind === 'signed-out', async () => {
    const { isSuccess } = await options.refetch()
    if (isSuccess && trouble?.kind === 'signed-out') {
      const goOn = jobId === null ? feature.startOver : feature.lookAgain
      goOn()
    }
  })

  useEffect(() => {
    document.title = tabTitle(feature, request?.pageOrComponent ?? null)
  }, [feature, request])

  const _isDone = phase === 'complete' && !feature.isFromKept
  const _doneWords = _isDone ? `${request?.pageOrComponent ?? 'Your request'}: ${statusWords(phase, job)}` : null
  useEffect(() => {
    if (_doneWords !== null) {
      notify('Your suggestions are there', _doneWords)
    }
  }, [_doneWords])

  useEffect(() => {
    if (notice === null) {
      return undefined
    }
    const timer = setTimeout(() => setNotice(null), NOTICE_MS)
    return () => clearTimeout(timer)
  }, [notice])

  const goToForm = useCallback((field: string) => {
    setIsUnfolded(true)
    // After the form is there to be seen.
    requestAnimationFrame(() => {
      const control = document.querySelector<HTMLInputElement | HTMLTextAreaElement>(`[name="${field}"]`)
      control?.focus()
      control?.scrollIntoView({ block: 'center' })
    })
  }, [])

  const handleSubmit = () => {
    setIsUnfolded(false)
    markSent()
    feature.submit(requestOf(draft))
  }

  const { open } = feature
  const handleOpen = useCallback(
    (wanted: string) => {
      setIsUnfolded(false)
      open(wanted)
    },
    [open],
  )

  const handleStartOver = () => {
    feature.startOver()
    goToForm('pageOrComponent')
  }

  const handleRefine = useCallback(
    (suggestion: Suggestion, refinement: Refinement) => {
      const asked = request === null ? {} : { pageOrComponent: request.pageOrComponent, featureType: request.featureType, priorityLevel: request.priorityLevel }
      change({ ...asked, additionalContext: refinedContext(suggestion, refinement) })
      goToForm('additionalContext')
    },
    [request, change, goToForm],
  )

  return (
    <>
      <PageHeader
        isSandbox={_isSandbox}
        agent={options.data?.agent ?? null}
        notice={notice}
        onOpenAgent={() => setIsAgentOpen(true)}
      />
      <Announcer session={feature} />
      <main className="mx-auto grid max-w-6xl grid-cols-[minmax(0,1fr)] items-start gap-6 px-4 py-5 sm:px-6 lg:grid-cols-[21rem_minmax(0,1fr)] lg:grid-rows-[auto_1fr] lg:gap-x-8">
        {/* What to ask */}
        <div className="print:hidden">
          <Conditional when={_isFolded}>
            <Button className="w-full lg:hidden" onClick={() => goToForm('pageOrComponent')}>
              Change it, or ask something else
            </Button>
          </Conditional>
          <div className={cn('rounded-lg border border-line bg-surface p-4', _isFolded && 'hidden lg:block')}>
            <RequestForm
              options={options.data ?? null}
              draft={draft}
              isBusy={isBusy}
              isFirst={phase === 'idle'}
              problems={trouble?.fields ?? NO_PROBLEMS}
              onChange={change}
              onSubmit={handleSubmit}
            />
          </div>
        </div>

        {/* What comes of it */}
        <div className="min-w-0 lg:col-start-2 lg:row-span-2 lg:row-start-1">
          <Conditional when={_isWelcoming && _isSignedOut}>
            <TroubleNotice
              trouble={SIGNED_OUT}
              signInUrl={_signInUrl}
              onRetry={null}
              onLookAgain={feature.lookAgain}
              onStartOver={handleStartOver}
            />
          </Conditional>
          <Conditional when={_isWelcoming && !_isSignedOut}>
            <Welcome
              isSandbox={_isSandbox}
              onExample={(example) => {
                change(example)
                goToForm('pageOrComponent')
              }}
            />
          </Conditional>
          <Conditional when={!_isWelcoming}>
            <JobPanel
              feature={feature}
              usualMs={_usualMs}
              repositoryUrl={options.data?.repositoryUrl ?? null}
              signInUrl={_signInUrl}
              onRefine={handleRefine}
              onStartOver={handleStartOver}
            />
          </Conditional>
        </div>

        {/* What was asked before */}
        <Conditional when={kept.requests.length > 0}>
          <KeptList kept={kept} jobId={jobId} onOpen={handleOpen} />
        </Conditional>
      </main>
      <Conditional when={isAgentOpen}>
        <AgentDialog onClose={() => setIsAgentOpen(false)} onDone={setNotice} />
      </Conditional>
    </>
  )
}

/** Calls back when somebody comes back to the page, who may have signed in elsewhere. */
const useSignInAgain = (isSignedOut: boolean, onReturn: () => void): void => {
  useEffect(() => (isSignedOut ? onWake(onReturn) : undefined))
}
