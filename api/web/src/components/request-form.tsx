import type { ChangeEvent, FormEvent, KeyboardEvent } from 'react'
import type { Options } from '../client/types.gen.ts'
import {
  FEATURE_TYPES,
  type FieldProblem,
  PRIORITY_LEVELS,
  SUGGEST_FEATURE_REQUEST_BOUNDS as BOUNDS,
} from '../client/types.gen.ts'
import { type Draft, problemsOf } from '../draft.ts'
import { useFormErrors } from '../use-form-errors.ts'
import { FEATURE_TYPE_WORDS, PRIORITY_WORDS } from '../words.ts'
import { Button } from './button.tsx'
import { Conditional } from './conditional.tsx'
import { Field } from './field.tsx'

interface RequestFormProps {
  options: Options | null
  draft: Draft
  isBusy: boolean
  /** Whether the form gets the focus when it appears. */
  isFirst: boolean
  /** The errors that the server found in the last request. */
  problems: readonly FieldProblem[]
  onChange: (changes: Partial<Draft>) => void
  onSubmit: () => void
}

const FORM = 'request'
const LABELS = {
  pageOrComponent: 'Page or component',
  featureType: 'Feature type',
  priorityLevel: 'Priority',
  additionalContext: 'Additional context',
  customModel: 'Model',
}

export const RequestForm = ({ options, draft, isBusy, isFirst, problems, onChange, onSubmit }: RequestFormProps) => {
  const { form, errors: _errors, accept, change } = useFormErrors(LABELS, problems)

  const _models = options?.models.filter((model) => model !== options.defaultModel) ?? []
  const _isUnknownModel = draft.customModel !== '' && !_models.includes(draft.customModel)

  const handleChange = ({ target }: ChangeEvent<HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement>) => {
    onChange({ [target.name]: target.value })
    change(target.name)
  }

  const handleSubmit = (event: FormEvent) => {
    event.preventDefault()
    if (!isBusy && accept(problemsOf(draft))) {
      onSubmit()
    }
  }

  const handleKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault()
      form.current?.requestSubmit()
    }
  }

  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- Ctrl+Enter sends it from any field
    <form
      ref={form}
      noValidate
      aria-label="What to suggest features for"
      className="grid gap-4 sm:grid-cols-2 lg:grid-cols-1"
      onSubmit={handleSubmit}
      onKeyDown={handleKeyDown}
    >
      {/* What it is about */}
      <Field
        name="pageOrComponent"
        form={FORM}
        label={LABELS.pageOrComponent}
        error={_errors['pageOrComponent']}
        className="col-span-full"
      >
        {(control) => (
          <input
            {...control}
            className="control"
            value={draft.pageOrComponent}
            placeholder="Checkout page"
            autoComplete="off"
            // oxlint-disable-next-line jsx-a11y/no-autofocus -- it is what the page is for, and comes first in it
            autoFocus={isFirst}
            required
            onChange={handleChange}
          />
        )}
      </Field>

      <Field name="featureType" form={FORM} label={LABELS.featureType} error={_errors['featureType']}>
        {(control) => (
          <select {...control} className="control" value={draft.featureType} onChange={handleChange}>
            {FEATURE_TYPES.map((type) => (
              <option key={type} value={type}>
                {FEATURE_TYPE_WORDS[type]}
              </option>
            ))}
          </select>
        )}
      </Field>

      {/* Priority */}
      <fieldset className="grid gap-1">
        <legend className="mb-1 font-medium">{LABELS.priorityLevel}</legend>
        <div className="grid grid-cols-4 overflow-hidden rounded-md border border-edge bg-surface">
          {PRIORITY_LEVELS.map((level) => (
            <label
              key={level}
              className="choice relative border-l border-line px-1 py-1.5 text-center first:border-l-0 hover:bg-sunken has-checked:bg-accent-soft has-checked:font-semibold has-focus-visible:outline-2 has-focus-visible:-outline-offset-2 has-focus-visible:outline-accent"
            >
              <input
                type="radio"
                name="priorityLevel"
                value={level}
                checked={draft.priorityLevel === level}
                className="absolute inset-0 appearance-none opacity-0"
                onChange={handleChange}
              />
              {PRIORITY_WORDS[level]}
            </label>
          ))}
        </div>
        <Conditional when={_errors['priorityLevel']}>
          {(error) => <p className="text-sm text-alarm">{error}</p>}
        </Conditional>
      </fieldset>

      {/* What else there is to know */}
      <Field
        name="additionalContext"
        form={FORM}
        label={LABELS.additionalContext}
        isOptional
        error={_errors['additionalContext']}
        counter={{ text: draft.additionalContext, greatest: BOUNDS.additionalContext.greatest }}
        className="col-span-full"
      >
        {(control) => (
          <textarea
            {...control}
            className="control min-h-28 resize-y"
            rows={4}
            value={draft.additionalContext}
            placeholder="Who uses it, what they struggle with, what has been tried"
            onChange={handleChange}
          />
        )}
      </Field>

      <Field name="customModel" form={FORM} label={LABELS.customModel} error={_errors['customModel']}>
        {(control) => (
          <select {...control} className="control" value={draft.customModel} onChange={handleChange}>
            <option value="">{options ? `${options.defaultModel} (default)` : 'Default'}</option>
            <Conditional when={_isUnknownModel}>
              <option>{draft.customModel}</option>
            </Conditional>
            {_models.map((model) => (
              <option key={model}>{model}</option>
            ))}
          </select>
        )}
      </Field>

      <Button kind="primary" type="submit" className="min-h-10 self-end" disabled={isBusy}>
        {isBusy ? 'Working on it…' : 'Suggest features'}
      </Button>
    </form>
  )
}
