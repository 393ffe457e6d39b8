import { useMemo } from 'react'
import type { Job } from '../client/transcript.ts'
import { toolSentence } from '../plain-tool.ts'
import { countWords } from '../words.ts'
import { Conditional } from './conditional.tsx'

interface ActivityProps {
  job: Job
  /** Before the first word of the answer there is nothing else to look at. */
  isOpen: boolean
}

const MOST_SHOWN = 5

export const Activity = ({ job: { tools, notes }, isOpen }: ActivityProps) => {
  const _sentences = useMemo(() => tools.map(toolSentence), [tools])
  const _note = notes.at(-1)
  const _earlier = Math.max(0, tools.length - MOST_SHOWN)

  return (
    <>
      <Conditional when={isOpen && _note}>
        {(note) => <p className="border-l-2 border-line pl-3 text-quiet italic wrap-anywhere">{note}</p>}
      </Conditional>
      <Conditional when={isOpen && tools.length > 0}>
        <ul aria-label="What the agent looks at" className="grid gap-0.5 text-sm text-quiet">
          <Conditional when={_earlier > 0}>
            <li>{countWords(_earlier, 'earlier look', 'earlier looks')} at the project</li>
          </Conditional>
          {_sentences.slice(_earlier).map((sentence, index) => (
            // oxlint-disable-next-line react/no-array-index-key -- the list only grows: a place is what it is known by
            <li key={_earlier + index} className="animate-appear wrap-anywhere">
              {sentence}
            </li>
          ))}
        </ul>
      </Conditional>
      <Conditional when={!isOpen && tools.length > 0}>
        <details className="text-sm text-quiet print:hidden">
          <summary className="w-fit rounded hover:text-ink">
            Looked at the project {countWords(tools.length, 'time')}
          </summary>
          <ul aria-label="What the agent has looked at" className="mt-1 grid max-h-60 gap-0.5 overflow-y-auto pl-4">
            {_sentences.map((sentence, index) => (
              // oxlint-disable-next-line react/no-array-index-key -- the list only grows: a place is what it is known by
              <li key={index} className="wrap-anywhere">
                {sentence}
              </li>
            ))}
          </ul>
        </details>
      </Conditional>
    </>
  )
}
