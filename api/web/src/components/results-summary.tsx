import type { Complete } from '../types.gen.ts'
import { durationWords, tokenWords } from '../words.ts'
import { Conditional } from './conditional.tsx'
import { Prose } from './prose.tsx'

interface ResultsSummaryProps {
  answer: Complete
  /** Who answered; null for the built-in agent. */
  agent: string | null
}

export const ResultsSummary = ({ answer, agent }: ResultsSummaryProps) => {
  const _isSandbox = answer.model === 'sandbox'
  const _facts = [
    ['Model', _isSandbox ? 'sandbox' : answer.model],
    ...(agent === null ? [] : [['Agent', agent]]),
    ['Tokens', tokenWords(answer.tokenUsage)],
    ['Duration', durationWords(answer.executionTimeMs)],
    ...(answer.retryCount > 0 ? [['Retries', String(answer.retryCount)]] : []),
  ]

  return (
    <div className="grid gap-2">
      {/* What it took */}
      <dl className="flex flex-wrap gap-x-5 gap-y-0.5 text-sm">
        {_facts.map(([name, value]) => (
          <div key={name} className="flex gap-1.5">
            <dt className="text-quiet">{name}</dt>
            <dd className="tabular-nums">{value}</dd>
          </div>
        ))}
      </dl>
      <Conditional isShown={_isSandbox}>
        <p className="rounded-md bg-warning-soft px-3 py-1.5 text-sm text-warning">
          Written by the sandbox, a local stand-in: these are not Claude’s suggestions.
        </p>
      </Conditional>

      {/* The page as the model read it */}
      <Conditional isShown={answer.context !== null}>
        <p className="max-w-[76ch] wrap-anywhere">
          <Prose text={answer.context ?? ''} />
        </p>
      </Conditional>
    </div>
  )
}
