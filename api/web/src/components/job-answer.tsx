import { useMemo } from 'react'
import type { SuggestFeature } from '../use-suggest-feature.ts'
import { writtenIn } from '../written.ts'
import { Activity } from './activity.tsx'
import { Conditional } from './conditional.tsx'
import { Cursor } from './cursor.tsx'
import { Prose } from './prose.tsx'
import { type CardState, SuggestionCard } from './suggestion-card.tsx'
import type { CardActions } from './suggestion-tools.tsx'
import { WrittenText } from './written-text.tsx'

interface JobAnswerProps {
  feature: SuggestFeature
  repositoryUrl: string | null
  actions: CardActions
}

/** Shows what the model reads and writes: its activity, and for each suggestion a card that fills as it is written. */
export const JobAnswer = ({ feature: { job, isBusy, phase }, repositoryUrl, actions }: JobAnswerProps) => {
  const _whole = job.suggestions ?? []
  const _text = job.text ?? ''
  const { context, draft } = useMemo(() => writtenIn(_text, _whole.length), [_text, _whole.length])
  const _isWriting = phase === 'streaming' && job.waiting === null
  const _draftState: CardState = isBusy ? (_isWriting ? 'writing' : 'paused') : 'cut'
  const _draft = job.answer === null ? draft : null
  const _cards = _draft === null ? _whole : [..._whole, _draft]
  const _context = job.answer?.context ?? context

  return (
    <>
      <Activity job={job} isOpen={isBusy && _text === ''} />
      <Conditional when={_context !== ''}>
        <p className="max-w-[76ch] wrap-anywhere">
          <Prose text={_context} />
          <Conditional when={_isWriting && _cards.length === 0}>
            <Cursor />
          </Conditional>
        </p>
      </Conditional>
      <div className="grid gap-3 empty:hidden">
        {_cards.map((suggestion, index) => (
          <SuggestionCard
            // oxlint-disable-next-line react/no-array-index-key -- a suggestion's place is what it is known by
            key={index}
            suggestion={suggestion}
            number={index + 1}
            state={index < _whole.length ? 'whole' : _draftState}
            repositoryUrl={repositoryUrl}
            actions={index < _whole.length ? actions : null}
          />
        ))}
      </div>
      <WrittenText text={_text} isWriting={_isWriting} attempt={job.attempt} />
    </>
  )
}
