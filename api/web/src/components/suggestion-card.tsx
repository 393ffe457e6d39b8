import { memo } from 'react'
import { cn } from '../cn.ts'
import type { Suggestion } from '../client/types.gen.ts'
import { Conditional } from './conditional.tsx'
import { Cursor } from './cursor.tsx'
import { Prose } from './prose.tsx'
import { SuggestionFiles } from './suggestion-files.tsx'
import { type CardActions, SuggestionTools } from './suggestion-tools.tsx'

export type CardState = 'whole' | 'writing' | 'paused' | 'cut'

interface SuggestionCardProps {
  suggestion: Suggestion
  number: number
  /** `paused` while the model's provider has it wait; `cut` where the job ended in the middle of it. */
  state: CardState
  /** The repository that its files are linked to; null where there is none. */
  repositoryUrl: string | null
  /** The actions of the card; null where there are none, as in a comparison. */
  actions: CardActions | null
}

export const SuggestionCard = memo(({ suggestion, number, state, repositoryUrl, actions }: SuggestionCardProps) => {
  const { title, rationale, description, implementationConsiderations: considerations, files = [] } = suggestion
  const _lastPart = lastPartOf(suggestion)
  const cursorAt = (part: string) => (state === 'writing' && _lastPart === part ? <Cursor /> : null)

  return (
    <article
      aria-label={`Suggestion ${number}`}
      aria-busy={state === 'writing' || state === 'paused'}
      className={cn(
        'rounded-lg border bg-surface px-4 py-3.5 sm:px-5 sm:py-4 print:break-inside-avoid',
        state === 'whole' ? 'border-line' : 'border-dashed border-edge',
      )}
    >
      {/* Title */}
      <h3 className="text-base leading-snug font-semibold wrap-anywhere">
        <span className="text-accent tabular-nums">{number}. </span>
        <Prose text={title} />
        {cursorAt('title')}
      </h3>

      {/* Why, and what */}
      <Conditional when={rationale !== ''}>
        <p className="mt-1.5 max-w-[76ch] border-l-2 border-accent pl-3 whitespace-pre-line text-quiet wrap-anywhere">
          <span className="sr-only">Why: </span>
          <Prose text={rationale} />
          {cursorAt('rationale')}
        </p>
      </Conditional>
      <Conditional when={description !== ''}>
        <p className="mt-2.5 max-w-[76ch] whitespace-pre-line wrap-anywhere">
          <Prose text={description} />
          {cursorAt('description')}
        </p>
      </Conditional>

      {/* How, and where */}
      <Conditional when={considerations.length > 0}>
        <h4 className="mt-3 text-sm font-semibold">What to consider</h4>
        <ul className="mt-1 max-w-[76ch] list-disc space-y-0.5 pl-5 text-sm marker:text-accent">
          {considerations.map((consideration, index) => (
            // oxlint-disable-next-line react/no-array-index-key -- two of them may say the same
            <li key={index} className="wrap-anywhere">
              <Prose text={consideration} />
              {index === considerations.length - 1 && cursorAt('considerations')}
            </li>
          ))}
        </ul>
      </Conditional>
      <SuggestionFiles files={files} repositoryUrl={repositoryUrl} />

      <Conditional when={state === 'cut'}>
        <p className="mt-2.5 text-sm text-quiet">This suggestion was not finished.</p>
      </Conditional>
      <Conditional when={state === 'whole' && actions}>
        {(given) => (
          <SuggestionTools suggestion={suggestion} number={number} repositoryUrl={repositoryUrl} actions={given} />
        )}
      </Conditional>
    </article>
  )
})
SuggestionCard.displayName = 'SuggestionCard'

/** Returns the part of the suggestion that the model is writing. */
const lastPartOf = (suggestion: Suggestion): string => {
  if (suggestion.implementationConsiderations.length > 0) {
    return 'considerations'
  }
  if (suggestion.description !== '') {
    return 'description'
  }
  return suggestion.rationale === '' ? 'title' : 'rationale'
}
