import { useRef, useState } from 'react'
import { type KeptRequest, timeWords } from '../kept/record.ts'
import { kindWords } from '../words.ts'
import { Conditional } from './conditional.tsx'
import { Dialog } from './dialog.tsx'
import { Prose } from './prose.tsx'
import { SuggestionCard } from './suggestion-card.tsx'

interface CompareDialogProps {
  requests: readonly KeptRequest[]
  repositoryUrl: string | null
  onClose: () => void
}

/** Shows two answers side by side, on a phone one below the other. */
export const CompareDialog = ({ requests, repositoryUrl, onClose }: CompareDialogProps) => {
  const dialog = useRef<HTMLDialogElement>(null)

  return (
    <Dialog dialog={dialog} title="Two answers side by side" className="w-[min(84rem,calc(100vw-1.5rem))]" onClose={onClose}>
      <div className="mt-2 grid items-start gap-6 md:grid-cols-2">
        {requests.map((request) => (
          <ComparedAnswer key={request.jobId} request={request} repositoryUrl={repositoryUrl} />
        ))}
      </div>
    </Dialog>
  )
}

interface ComparedAnswerProps {
  request: KeptRequest
  repositoryUrl: string | null
}

const ComparedAnswer = ({ request: { jobId, input, job, createdAt }, repositoryUrl }: ComparedAnswerProps) => {
  const [now] = useState(Date.now)

  return (
    <section aria-labelledby={`compared-${jobId}`} className="grid min-w-0 gap-3">
      {/* What was asked */}
      <div>
        <h3 id={`compared-${jobId}`} className="font-semibold wrap-anywhere">
          {input.pageOrComponent}
        </h3>
        <p className="text-sm text-quiet">
          {kindWords(input)} · {timeWords(createdAt, now)}
          <Conditional when={job.answer}>{({ model }) => ` · ${model}`}</Conditional>
        </p>
        <Conditional when={input.additionalContext}>
          {(context) => <p className="mt-1 text-sm whitespace-pre-line text-quiet wrap-anywhere">{context}</p>}
        </Conditional>
      </div>

      {/* What came of it */}
      <Conditional when={job.answer?.context}>
        {(context) => (
          <p className="wrap-anywhere">
            <Prose text={context} />
          </p>
        )}
      </Conditional>
      {job.suggestions?.map((suggestion, index) => (
        <SuggestionCard
          // oxlint-disable-next-line react/no-array-index-key -- a suggestion's place is what it is known by
          key={index}
          suggestion={suggestion}
          number={index + 1}
          state="whole"
          repositoryUrl={repositoryUrl}
          actions={null}
        />
      ))}
    </section>
  )
}
