import type { Suggestion } from '../client/types.gen.ts'
import type { Draft, Refinement } from '../draft.ts'
import type { OptionsState } from '../use-options.ts'
import type { SuggestFeature } from '../use-suggest-feature.ts'
import { Conditional } from './conditional.tsx'
import { JobPanel } from './job-panel.tsx'
import { TroubleNotice } from './trouble-notice.tsx'
import { Welcome } from './welcome.tsx'

interface ResultPaneProps {
  server: OptionsState
  feature: SuggestFeature
  /** Whether there is no job to show. */
  isWelcoming: boolean
  usualMs: number
  onExample: (example: Draft) => void
  onRefine: (suggestion: Suggestion, refinement: Refinement) => void
  onStartOver: () => void
}

/** Is the part of the page that shows the job. */
export const ResultPane = ({ server, feature, isWelcoming, usualMs, onExample, onRefine, onStartOver }: ResultPaneProps) => {
  const { options, signedOut } = server

  return (
    <div className="min-w-0 lg:col-start-2 lg:row-span-2 lg:row-start-1">
      <Conditional when={isWelcoming && signedOut}>
        {(trouble) => (
          <TroubleNotice trouble={trouble} onRetry={null} onLookAgain={feature.lookAgain} onStartOver={onStartOver} />
        )}
      </Conditional>
      <Conditional when={isWelcoming && signedOut === null}>
        <Welcome isSandbox={options?.isSandbox ?? false} onExample={onExample} />
      </Conditional>
      <Conditional when={!isWelcoming}>
        <JobPanel
          feature={feature}
          usualMs={usualMs}
          repositoryUrl={options?.repositoryUrl ?? null}
          onRefine={onRefine}
          onStartOver={onStartOver}
        />
      </Conditional>
    </div>
  )
}
