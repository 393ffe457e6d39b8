import type { Complete } from '../client/types.gen.ts'
import { durationWords, tokenWords } from '../words.ts'
import { Conditional } from './conditional.tsx'

interface JobFootProps {
  answer: Complete
  /** The agent that answered; null for the built-in one. */
  agent: string | null
}

/** Shows the line below an answer: which agent answered, how long it took and how many tokens it used. */
export const JobFoot = ({ answer, agent }: JobFootProps) => {
  const _facts = [
    ['Model', answer.model],
    ...(agent === null ? [] : [['Agent', agent]]),
    ['Time', durationWords(answer.executionTimeMs)],
    ['Used', tokenWords(answer.tokenUsage)],
    ...(answer.retryCount > 0 ? [['Failed attempts', String(answer.retryCount)]] : []),
  ]

  return (
    <footer className="grid gap-2 border-t border-line pt-3 text-sm">
      <Conditional when={answer.model === 'sandbox'}>
        <p className="rounded-md bg-warning-soft px-3 py-1.5 text-warning">
          Written by the sandbox, a local stand-in: these are not Claude’s suggestions.
        </p>
      </Conditional>
      <dl className="flex flex-wrap gap-x-5 gap-y-0.5">
        {_facts.map(([name, value]) => (
          <div key={name} className="flex gap-1.5">
            <dt className="text-quiet">{name}</dt>
            <dd className="tabular-nums wrap-anywhere">{value}</dd>
          </div>
        ))}
      </dl>
    </footer>
  )
}
