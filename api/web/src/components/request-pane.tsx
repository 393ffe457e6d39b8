import { cn } from '../cn.ts'
import type { FieldProblem, Options } from '../client/types.gen.ts'
import type { Draft } from '../draft.ts'
import type { SuggestFeature } from '../use-suggest-feature.ts'
import { Button } from './button.tsx'
import { Conditional } from './conditional.tsx'
import { RequestForm } from './request-form.tsx'

interface RequestPaneProps {
  options: Options | null
  draft: Draft
  feature: SuggestFeature
  /** On a small screen the form is folded away while there is something else to see. */
  isFolded: boolean
  onUnfold: () => void
  onChange: (changes: Partial<Draft>) => void
  onSubmit: () => void
}

const NO_PROBLEMS: readonly FieldProblem[] = []

/** Is the part of the page with the request form. */
export const RequestPane = ({ options, draft, feature, isFolded, onUnfold, onChange, onSubmit }: RequestPaneProps) => {
  const { phase, isBusy, trouble, request } = feature

  return (
    <div className="print:hidden">
      <Conditional when={isFolded}>
        <Button className="w-full sm:w-auto lg:hidden" onClick={onUnfold}>
          {request === null ? 'Ask something else' : 'Change it, or ask something else'}
        </Button>
      </Conditional>
      <div className={cn('rounded-lg border border-line bg-surface p-4', isFolded && 'hidden lg:block')}>
        <RequestForm
          options={options}
          draft={draft}
          isBusy={isBusy}
          isFirst={phase === 'idle'}
          problems={trouble?.fields ?? NO_PROBLEMS}
          onChange={onChange}
          onSubmit={onSubmit}
        />
      </div>
    </div>
  )
}
