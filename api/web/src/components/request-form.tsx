import { type ChangeEvent, type FormEvent, type KeyboardEvent, useEffect, useMemo, useRef, useState } from 'react'
import { focusFirstInvalid } from '../focus.ts'
import {
  FEATURE_TYPES,
  type FeatureType,
  type FieldProblem,
  type Options,
  PRIORITY_LEVELS,
  type PriorityLevel,
  SUGGEST_FEATURE_REQUEST_BOUNDS as BOUNDS,
  type SuggestFeatureRequest,
} from '../types.gen.ts'
import { fieldErrors, lengthProblem } from '../validation.ts'
import { FEATURE_TYPE_WORDS, PRIORITY_WORDS } from '../words.ts'
import { Button } from './button.tsx'
import { Conditional } from './conditional.tsx'
import { Field } from './field.tsx'

interface RequestFormProps {
  options: Options | null
  /** What the job on the screen was asked for with; the form takes it over when it comes from elsewhere. */
  request: SuggestFeatureRequest | null
  isBusy: boolean
  isCreating: boolean
  /** What the server found wrong with the last request. */
  problems: readonly FieldProblem[]
  onSubmit: (request: SuggestFeatureRequest) => void
}

interface Draft {
  pageOrComponent: string
  featureType: FeatureType
  priorityLevel: PriorityLevel
  additionalContext: string
  /** Empty: whatever the server's default is. */
  customModel: string
}

const FORM = 'request'
const EMPTY: Draft = {
  pageOrComponent: '',
  featureType: 'enhancement',
  priorityLevel: 'medium',
  additionalContext: '',
  customModel: '',
}
const LABELS = {
  pageOrComponent: 'Page or component',
  featureType: 'Feature type',
  priorityLevel: 'Priority',
  additionalContext: 'Additional context',
  customModel: 'Model',
}

export const RequestForm = ({ options, request, isBusy, isCreating, problems, onSubmit }: RequestFormProps) => {
  const [draft, setDraft] = useState<Draft>(() => draftOf(request))
  const [ownProblems, setOwnProblems] = useState<readonly FieldProblem[]>([])
  /** Changed since they were found wrong. */
  const [edited, setEdited] = useState<readonly string[]>([])
  const [seenRequest, setSeenRequest] = useState(request)
  const form = useRef<HTMLFormElement>(null)

  const _errors = useMemo(() => {
    const standing = [...problems, ...ownProblems].filter(({ field }) => !edited.includes(field))
    return fieldErrors(LABELS, standing)
  }, [problems, ownProblems, edited])
  const _models = options?.models.filter((model) => model !== options.defaultModel) ?? []
  const _isUnknownModel = draft.customModel !== '' && !_models.includes(draft.customModel)

  if (seenRequest !== request) {
    setSeenRequest(request)
    setDraft(request === null ? draft : draftOf(request))
  }

  useEffect(() => {
    if (problems.length + ownProblems.length > 0) {
      focusFirstInvalid(form.current)
    }
  }, [problems, ownProblems])

  const handleChange = ({ target }: ChangeEvent<HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement>) => {
    setDraft({ ...draft, [target.name]: target.value })
    setEdited([...edited, target.name])
  }

  const handleSubmit = (event: FormEvent) => {
    event.preventDefault()
    const found = problemsOf(draft)
    setOwnProblems(found)
    setEdited([])
    if (found.length === 0) {
      onSubmit(requestOf(draft))
    }
  }

  const handleKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault()
      form.current?.requestSubmit()
    }
  }

  return (
    <form ref={form} noValidate aria-label="What to suggest features for" className="grid gap-4 sm:grid-cols-2 lg:grid-cols-1" onSubmit={handleSubmit}>
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
              className="relative border-l border-line px-1 py-1.5 text-center first:border-l-0 hover:bg-sunken has-checked:bg-accent-soft has-checked:font-semibold has-focus-visible:outline-2 has-focus-visible:-outline-offset-2 has-focus-visible:outline-accent"
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
        <Conditional isShown={_errors['priorityLevel'] !== undefined}>
          <p className="text-sm text-alarm">{_errors['priorityLevel']}</p>
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
            onKeyDown={handleKeyDown}
          />
        )}
      </Field>

      <Field name="customModel" form={FORM} label={LABELS.customModel} error={_errors['customModel']}>
        {(control) => (
          <select {...control} className="control" value={draft.customModel} onChange={handleChange}>
            <option value="">{options ? `${options.defaultModel} (default)` : 'Default'}</option>
            <Conditional isShown={_isUnknownModel}>
              <option>{draft.customModel}</option>
            </Conditional>
            {_models.map((model) => (
              <option key={model}>{model}</option>
            ))}
          </select>
        )}
      </Field>

      <Button kind="primary" type="submit" className="min-h-10 self-end" disabled={isBusy}>
        {isCreating ? 'Creating job…' : isBusy ? 'Working on it…' : 'Suggest features'}
      </Button>
    </form>
  )
}

const draftOf = (request: SuggestFeatureRequest | null): Draft =>
  request === null
    ? EMPTY
    : {
        ...request,
        additionalContext: request.additionalContext ?? '',
        customModel: request.customModel ?? '',
      }

const requestOf = (draft: Draft): SuggestFeatureRequest => ({
  pageOrComponent: draft.pageOrComponent.trim(),
  featureType: draft.featureType,
  priorityLevel: draft.priorityLevel,
  ...(draft.additionalContext === '' ? {} : { additionalContext: draft.additionalContext }),
  ...(draft.customModel === '' ? {} : { customModel: draft.customModel }),
})

const problemsOf = (draft: Draft): FieldProblem[] => {
  const texts = { pageOrComponent: draft.pageOrComponent.trim(), additionalContext: draft.additionalContext }
  return Object.entries(texts).flatMap(([field, text]) => {
    const message = lengthProblem(text, BOUNDS[field as keyof typeof texts])
    return message === null ? [] : [{ field, message }]
  })
}
