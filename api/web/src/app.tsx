import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { readOptions } from './api.ts'
import { AgentDialog } from './components/agent-dialog.tsx'
import { Conditional } from './components/conditional.tsx'
import { JobPanel } from './components/job-panel.tsx'
import { PageHeader } from './components/page-header.tsx'
import { RequestForm } from './components/request-form.tsx'
import { TroubleNotice } from './components/trouble-notice.tsx'
import { Welcome } from './components/welcome.tsx'
import { SIGNED_OUT, troubleOf } from './trouble.ts'
import type { FieldProblem } from './types.gen.ts'
import { useSuggestFeature } from './use-suggest-feature.ts'

const NO_PROBLEMS: readonly FieldProblem[] = []

export const App = () => {
  const [isAgentOpen, setIsAgentOpen] = useState(false)

  const feature = useSuggestFeature()
  const options = useQuery({ queryKey: ['options'], queryFn: readOptions, staleTime: Number.POSITIVE_INFINITY })

  const _isSandbox = options.data?.isSandbox ?? false
  const _isSignedOut = options.error !== null && troubleOf(options.error).kind === 'signed-out'
  const _isIdle = feature.phase === 'idle'
  // Errors of fields are shown at the fields.
  const _isFormWrong = feature.trouble?.kind === 'fields'
  const _isWelcoming = _isIdle || _isFormWrong

  const handleStartOver = () => {
    feature.startOver()
    document.querySelector<HTMLInputElement>('[name="pageOrComponent"]')?.select()
  }

  return (
    <>
      <PageHeader isSandbox={_isSandbox} onOpenAgent={() => setIsAgentOpen(true)} />
      <main className="mx-auto grid max-w-6xl items-start gap-6 px-4 py-5 sm:px-6 lg:grid-cols-[21rem_minmax(0,1fr)] lg:gap-8">
        {/* What to ask */}
        <div className="rounded-lg border border-line bg-surface p-4 lg:sticky lg:top-5">
          <RequestForm
            options={options.data ?? null}
            request={feature.request}
            isBusy={feature.isBusy}
            isCreating={feature.phase === 'creating'}
            problems={feature.trouble?.fields ?? NO_PROBLEMS}
            onSubmit={feature.submit}
          />
        </div>

        {/* What comes of it */}
        <div className="min-w-0">
          <Conditional isShown={_isWelcoming}>
            {_isSignedOut ? (
              <TroubleNotice trouble={SIGNED_OUT} onRetry={null} onLookAgain={feature.lookAgain} onStartOver={handleStartOver} />
            ) : (
              <Welcome isSandbox={_isSandbox} />
            )}
          </Conditional>
          <Conditional isShown={!_isWelcoming}>
            <JobPanel feature={feature} onStartOver={handleStartOver} />
          </Conditional>
        </div>
      </main>
      <Conditional isShown={isAgentOpen}>
        <AgentDialog onClose={() => setIsAgentOpen(false)} />
      </Conditional>
    </>
  )
}
