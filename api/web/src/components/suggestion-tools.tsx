import { type FormEvent, type ReactNode, useId, useState } from 'react'
import type { Suggestion } from '../client/types.gen.ts'
import type { Refinement } from '../draft.ts'
import { suggestionMarkdown } from '../markdown.ts'
import { fileUrl, issueLink } from '../repository.ts'
import { Button, buttonClass } from './button.tsx'
import { Conditional } from './conditional.tsx'
import { CopyButton } from './copy-button.tsx'

/** Holds the actions of a suggestion card, and what they need. */
export interface CardActions {
  /** The page or component that was asked about. */
  page: string | null
  onRefine: (suggestion: Suggestion, refinement: Refinement) => void
}

interface SuggestionToolsProps {
  suggestion: Suggestion
  number: number
  repositoryUrl: string | null
  actions: CardActions
}

export const SuggestionTools = ({ suggestion, number, repositoryUrl, actions }: SuggestionToolsProps) => {
  const [isRefining, setIsRefining] = useState(false)
  const refinement = useId()

  const { page, onRefine } = actions
  const urlOf = (path: string) => fileUrl(repositoryUrl, path)

  return (
    <div className="mt-2 -mb-1.5 print:hidden">
      <div className="-mx-3 flex flex-wrap gap-x-1">
        <CopyButton
          label="Copy"
          accessibleLabel={`Copy suggestion ${number} as Markdown`}
          text={() => suggestionMarkdown(suggestion, urlOf)}
        />
        <Button
          kind="quiet"
          aria-label={`Refine suggestion ${number}`}
          aria-expanded={isRefining}
          aria-controls={refinement}
          onClick={() => setIsRefining(!isRefining)}
        >
          Refine…
        </Button>
        <Conditional when={issueLink(repositoryUrl, suggestion, page)}>
          {({ host, url }) => (
            <a href={url} target="_blank" rel="noreferrer" className={buttonClass('quiet')}>
              Create issue<span className="sr-only"> on {host} from suggestion {number}</span>
            </a>
          )}
        </Conditional>
      </div>
      <div id={refinement}>
        <Conditional when={isRefining}>
          <RefineForm number={number} onRefine={(wish) => onRefine(suggestion, wish)} />
        </Conditional>
      </div>
    </div>
  )
}

interface RefineFormProps {
  number: number
  onRefine: (refinement: Refinement) => void
}

const RefineForm = ({ number, onRefine }: RefineFormProps): ReactNode => {
  const [words, setWords] = useState('')
  const field = useId()

  const handleSubmit = (event: FormEvent) => {
    event.preventDefault()
    onRefine({ kind: 'own', words })
  }

  return (
    <div className="grid gap-2 pt-2 pb-1">
      <div className="flex flex-wrap gap-2">
        <Button onClick={() => onRefine({ kind: 'more' })}>More like this</Button>
        <Button onClick={() => onRefine({ kind: 'narrower' })}>Narrower</Button>
      </div>
      <form className="flex flex-wrap gap-2" onSubmit={handleSubmit}>
        <label htmlFor={field} className="sr-only">
          What to change about suggestion {number}
        </label>
        <input
          id={field}
          className="control min-w-48 flex-1"
          value={words}
          maxLength={300}
          placeholder="Or in your own words"
          autoComplete="off"
          onChange={({ target }) => setWords(target.value)}
        />
        <Button type="submit" disabled={words.trim() === ''}>
          Use
        </Button>
      </form>
      <p className="text-sm text-quiet">This goes into the form as context; nothing is sent yet.</p>
    </div>
  )
}
