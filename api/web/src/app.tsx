import { useMemo, useState } from 'react'
import { AgentDialog } from './components/agent-dialog.tsx'
import { Announcer } from './components/announcer.tsx'
import { Conditional } from './components/conditional.tsx'
import { KeptList } from './components/kept-list.tsx'
import { PageHeader } from './components/page-header.tsx'
import { RequestPane } from './components/request-pane.tsx'
import { ResultPane } from './components/result-pane.tsx'
import { usualMs } from './kept/record.ts'
import { useEnds } from './kept/use-ends.ts'
import { useKept } from './kept/use-kept.ts'
import { useAsking } from './use-asking.ts'
import { useLostFocus } from './use-lost-focus.ts'
import { useNotice } from './use-notice.ts'
import { useOptions } from './use-options.ts'
import { useOutside } from './use-outside.ts'
import { useSignInAgain } from './use-sign-in-again.ts'
import { useSuggestFeature } from './use-suggest-feature.ts'

export const App = () => {
  const [isAgentOpen, setIsAgentOpen] = useState(false)
  const [notice, setNotice] = useNotice()
  const kept = useKept()
  const server = useOptions()
  const feature = useSuggestFeature({ timeoutMs: server.timeoutMs, onKeep: kept.keep })
  // Errors of fields are shown at the fields.
  const _isWelcoming = feature.phase === 'idle' || feature.trouble?.kind === 'fields'
  const asking = useAsking(feature, _isWelcoming)
  const _usualMs = useMemo(() => usualMs(kept.requests), [kept.requests])

  useEnds(kept, feature.trouble?.kind === 'missing' ? null : feature.jobId)
  useLostFocus()
  useOutside(feature)
  useSignInAgain(server, feature)

  return (
    <>
      <PageHeader
        isSandbox={server.options?.isSandbox ?? false}
        agent={server.options?.agent ?? null}
        notice={notice}
        onOpenAgent={() => setIsAgentOpen(true)}
      />
      <Announcer session={feature} />
      <main tabIndex={-1} className="mx-auto grid max-w-6xl grid-cols-[minmax(0,1fr)] items-start gap-6 px-4 py-5 sm:px-6 lg:grid-cols-[21rem_minmax(0,1fr)] lg:grid-rows-[auto_1fr] lg:gap-x-8">
        <RequestPane
          options={server.options}
          draft={asking.draft}
          feature={feature}
          isFolded={asking.isFolded}
          onUnfold={asking.unfold}
          onChange={asking.change}
          onSubmit={asking.submit}
        />
        <ResultPane
          server={server}
          feature={feature}
          isWelcoming={_isWelcoming}
          usualMs={_usualMs}
          onExample={asking.tryExample}
          onRefine={asking.refine}
          onStartOver={asking.startOver}
        />
        {/* What was asked before */}
        <Conditional when={kept.requests.length > 0}>
          <KeptList
            kept={kept}
            jobId={feature.jobId}
            repositoryUrl={server.options?.repositoryUrl ?? null}
            onOpen={asking.open}
          />
        </Conditional>
      </main>
      <Conditional when={isAgentOpen}>
        <AgentDialog onClose={() => setIsAgentOpen(false)} onDone={setNotice} />
      </Conditional>
    </>
  )
}
