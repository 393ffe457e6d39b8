import type { SuggestFeature } from '../use-suggest-feature.ts'
import { kindWords } from '../words.ts'
import { Button } from './button.tsx'
import { Conditional } from './conditional.tsx'

interface JobHeaderProps {
  feature: SuggestFeature
  onStartOver: () => void
}

/** Shows the request of the job on the screen, and the buttons for it. */
export const JobHeader = ({ feature, onStartOver }: JobHeaderProps) => {
  const { phase, request, isBusy, isFromKept } = feature

  return (
    <header className="flex items-start justify-between gap-x-4">
      <div className="min-w-0">
        <h2 id="job-title" className="text-lg leading-snug font-semibold wrap-anywhere">
          {request?.pageOrComponent ?? 'Your request'}
        </h2>
        <p className="text-sm text-quiet">
          <Conditional when={request}>{kindWords}</Conditional>
          <Conditional when={isFromKept}> · kept in this browser</Conditional>
        </p>
      </div>
      <div className="flex shrink-0 gap-2 empty:hidden print:hidden">
        <Conditional when={isBusy}>
          <Button disabled={feature.isCancelling} onClick={feature.cancel}>
            {feature.isCancelling ? 'Cancelling…' : 'Cancel'}
          </Button>
        </Conditional>
        <Conditional when={phase === 'complete'}>
          <Button onClick={feature.retry} disabled={request === null}>
            Ask again
          </Button>
          {/* On a small screen the folded form stands above. */}
          <Button className="max-lg:hidden" onClick={onStartOver}>
            New request
          </Button>
        </Conditional>
      </div>
    </header>
  )
}
