import { memo, type MouseEvent, useState } from 'react'
import { type KeptRequest, MOST_KEPT, outcomeWords, timeWords } from '../kept/record.ts'
import type { Kept } from '../kept/use-kept.ts'
import { cn } from '../cn.ts'
import { countWords, FEATURE_TYPE_WORDS } from '../words.ts'
import { Button } from './button.tsx'
import { CompareDialog } from './compare-dialog.tsx'
import { Conditional } from './conditional.tsx'
import { ConfirmButton } from './confirm-button.tsx'

interface KeptListProps {
  kept: Kept
  /** The request on the screen. */
  jobId: string | null
  repositoryUrl: string | null
  onOpen: (jobId: string) => void
}

const FIRST_SHOWN = 8

export const KeptList = memo(({ kept, jobId, repositoryUrl, onOpen }: KeptListProps) => {
  const [isAll, setIsAll] = useState(false)
  /** The answers chosen for a comparison, in the order of choice. */
  const [chosen, setChosen] = useState<readonly string[] | null>(null)
  const [isComparing, setIsComparing] = useState(false)

  const { requests } = kept
  const _shown = isAll ? requests : requests.slice(0, FIRST_SHOWN)
  const _compared = requests.filter((each) => chosen?.includes(each.jobId))
  const _canCompare = requests.filter(({ job }) => job.answer !== null).length > 1

  const handleChoose = (id: string) =>
    setChosen((before) => (before?.includes(id) ? before.filter((each) => each !== id) : [...(before ?? []).slice(-1), id]))

  return (
    <section tabIndex={-1} aria-labelledby="kept" className="print:hidden">
      {/* What this is */}
      <div className="flex items-center justify-between gap-2">
        <h2 id="kept" className="font-semibold">
          Your requests
        </h2>
        <Conditional when={_canCompare}>
          <Button kind="quiet" className="-my-1 -mr-2 text-sm" onClick={() => setChosen(chosen === null ? [] : null)}>
            {chosen === null ? 'Compare…' : 'Done'}
          </Button>
        </Conditional>
      </div>
      <Conditional when={chosen}>
        {(ids) => (
          <div className="mt-1 mb-2 flex items-center justify-between gap-2 text-sm">
            <p role="status" className="text-quiet">
              {ids.length < 2 ? `Choose two answers: ${ids.length} of 2.` : 'Two are chosen.'}
            </p>
            <Button kind="primary" disabled={ids.length < 2} onClick={() => setIsComparing(true)}>
              Compare
            </Button>
          </div>
        )}
      </Conditional>

      {/* The requests, the newest first */}
      <ul className="-mx-2 mt-1 grid lg:mx-0 grid-cols-[minmax(0,1fr)] gap-0.5">
        {_shown.map((request) => (
          <KeptItem
            key={request.jobId}
            request={request}
            isCurrent={request.jobId === jobId}
            isChosen={chosen?.includes(request.jobId) ?? null}
            onChoose={() => handleChoose(request.jobId)}
            onOpen={() => onOpen(request.jobId)}
            onForget={() => kept.forget(request.jobId)}
          />
        ))}
      </ul>
      <Conditional when={requests.length > FIRST_SHOWN}>
        <Button kind="quiet" className="-ml-3 text-sm" onClick={() => setIsAll(!isAll)}>
          {isAll ? 'Show fewer' : `Show all ${requests.length}`}
        </Button>
      </Conditional>

      {/* Where they are */}
      <p className="mt-2 text-sm text-quiet">
        The last {MOST_KEPT} are kept in this browser, and nowhere else. Whoever uses this browser can read them.
      </p>
      <ConfirmButton label="Delete all" question={`Delete ${countWords(requests.length, 'request')}?`} className="-ml-3 text-sm" onConfirm={kept.forgetAll} />
      <Conditional when={isComparing && _compared.length === 2}>
        <CompareDialog requests={_compared} repositoryUrl={repositoryUrl} onClose={() => setIsComparing(false)} />
      </Conditional>
    </section>
  )
})
KeptList.displayName = 'KeptList'

interface KeptItemProps {
  request: KeptRequest
  isCurrent: boolean
  /** Null while no answers are being chosen. */
  isChosen: boolean | null
  onChoose: () => void
  onOpen: () => void
  onForget: () => void
}

const KeptItem = ({ request, isCurrent, isChosen, onChoose, onOpen, onForget }: KeptItemProps) => {
  const [now] = useState(Date.now)

  const { input, createdAt, job } = request

  /** The item goes; the focus goes on to the next one, or back to the one before. */
  const handleForget = ({ currentTarget }: MouseEvent) => {
    const item = currentTarget.closest('li')
    const neighbour = item?.nextElementSibling ?? item?.previousElementSibling
    neighbour?.querySelector('button')?.focus()
    onForget()
  }

  return (
    <li className={cn('flex items-center rounded-md hover:bg-sunken', isCurrent && 'choice bg-accent-soft')}>
      <Conditional when={isChosen !== null && job.answer !== null}>
        <input
          type="checkbox"
          aria-label={`Compare ${input.pageOrComponent}`}
          className="ml-2 size-4 shrink-0 accent-accent"
          checked={isChosen ?? false}
          onChange={onChoose}
        />
      </Conditional>
      <button
        type="button"
        aria-current={isCurrent ? 'true' : undefined}
        className="min-w-0 flex-1 rounded-md px-2 py-1.5 text-left"
        onClick={onOpen}
      >
        <span className="flex items-baseline justify-between gap-2">
          <span className="truncate font-medium">{input.pageOrComponent}</span>
          <time dateTime={new Date(createdAt).toISOString()} className="shrink-0 text-xs text-quiet tabular-nums">
            {timeWords(createdAt, now)}
          </time>
        </span>
        <span className="block truncate text-sm text-quiet">
          {FEATURE_TYPE_WORDS[input.featureType] ?? input.featureType} · {outcomeWords(request)}
        </span>
      </button>
      <button
        type="button"
        aria-label={`Delete ${input.pageOrComponent} from this browser`}
        title="Delete from this browser"
        className="mr-1 size-8 shrink-0 rounded-md text-quiet hover:bg-alarm-soft hover:text-alarm"
        onClick={handleForget}
      >
        ×
      </button>
    </li>
  )
}
