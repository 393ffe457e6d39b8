import { useMemo } from 'react'
import { activityOf, type ActivityLine } from '../activity.ts'
import { cn } from '../cn.ts'
import type { Job } from '../client/transcript.ts'
import { countWords } from '../words.ts'
import { Conditional } from './conditional.tsx'

interface ActivityProps {
  job: Job
  /** Whether the list is open: before the first word of the answer it is all there is to see. */
  isOpen: boolean
}

const MOST_SHOWN = 6

export const Activity = ({ job: { tools, notes }, isOpen }: ActivityProps) => {
  const _lines = useMemo(() => activityOf({ tools, notes }), [tools, notes])
  const _earlier = Math.max(0, _lines.length - MOST_SHOWN)

  return (
    <>
      <Conditional when={isOpen && _lines.length > 0}>
        <ul aria-label="What the agent looks at" className="grid gap-1 text-sm">
          <Conditional when={_earlier > 0}>
            <li className="text-quiet">{countWords(_earlier, 'earlier step')}</li>
          </Conditional>
          {_lines.slice(_earlier).map((line, index) => (
            // oxlint-disable-next-line react/no-array-index-key -- the list only grows: a place is what it is known by
            <Line key={_earlier + index} line={line} className="animate-appear" />
          ))}
        </ul>
      </Conditional>
      <Conditional when={!isOpen && _lines.length > 0}>
        <details className="text-sm text-quiet print:hidden">
          <summary className="w-fit rounded hover:text-ink">
            {tools.length === 0 ? 'What it said before writing' : `Looked at the project ${countWords(tools.length, 'time')}`}
          </summary>
          <ul aria-label="What the agent has looked at" className="mt-1 grid max-h-60 gap-1 overflow-y-auto pl-4">
            {_lines.map((line, index) => (
              // oxlint-disable-next-line react/no-array-index-key -- the list only grows: a place is what it is known by
              <Line key={index} line={line} />
            ))}
          </ul>
        </details>
      </Conditional>
    </>
  )
}

const Line = ({ line: { kind, words }, className }: { line: ActivityLine; className?: string }) => (
  <li className={cn('wrap-anywhere', kind === 'note' ? 'border-l-2 border-line pl-3 text-ink' : 'text-quiet', className)}>
    {words}
  </li>
)
