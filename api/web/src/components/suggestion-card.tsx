import { suggestionMarkdown } from '../markdown.ts'
import type { Suggestion } from '../types.gen.ts'
import { Conditional } from './conditional.tsx'
import { CopyButton } from './copy-button.tsx'
import { Prose } from './prose.tsx'

interface SuggestionCardProps {
  suggestion: Suggestion
  number: number
}

export const SuggestionCard = ({ suggestion, number }: SuggestionCardProps) => {
  const _considerations = suggestion.implementationConsiderations
  const _id = `suggestion-${number}`

  return (
    <article
      aria-labelledby={_id}
      className="animate-appear rounded-lg border border-line bg-surface px-4 py-3.5 sm:px-5 sm:py-4"
    >
      {/* Title */}
      <header className="flex items-start justify-between gap-3">
        <h3 id={_id} className="text-base leading-snug font-semibold wrap-anywhere">
          <span className="mr-2 text-accent tabular-nums">{number}</span>
          <Prose text={suggestion.title} />
        </h3>
        <CopyButton
          label="Copy"
          accessibleLabel={`Copy suggestion ${number} as Markdown`}
          text={() => suggestionMarkdown(suggestion)}
          className="-mt-1.5 -mr-2 shrink-0"
        />
      </header>

      {/* Why, and what */}
      <p className="mt-1.5 border-l-2 border-accent max-w-[76ch] pl-3 whitespace-pre-line text-quiet wrap-anywhere">
        <span className="sr-only">Rationale: </span>
        <Prose text={suggestion.rationale} />
      </p>
      <p className="mt-2.5 max-w-[76ch] whitespace-pre-line wrap-anywhere">
        <Prose text={suggestion.description} />
      </p>

      {/* How */}
      <Conditional isShown={_considerations.length > 0}>
        <h4 className="mt-3 text-sm font-semibold">Implementation considerations</h4>
        <ul className="mt-1 list-disc space-y-0.5 pl-5 text-sm marker:text-accent">
          {_considerations.map((consideration, index) => (
            // oxlint-disable-next-line react/no-array-index-key -- two of them may say the same
            <li key={index} className="wrap-anywhere">
              <Prose text={consideration} />
            </li>
          ))}
        </ul>
      </Conditional>
    </article>
  )
}
