import { type ChangeEvent, type FormEvent, useEffect, useMemo, useRef, useState } from 'react'
import { focusFirstInvalid } from '../focus.ts'
import {
  SUGGESTION_AGENT_BODY_BOUNDS as BOUNDS,
  type FieldProblem,
  type SuggestionAgent,
  type SuggestionAgentBody,
  TOOL_NAMES,
  type ToolName,
} from '../types.gen.ts'
import { fieldErrors, lengthProblem } from '../validation.ts'
import { Button } from './button.tsx'
import { Conditional } from './conditional.tsx'
import { Field } from './field.tsx'

interface AgentFormProps {
  /** The agent there is; null where there is none. */
  agent: SuggestionAgent | null
  isBusy: boolean
  /** What the server found wrong. */
  problems: readonly FieldProblem[]
  onSave: (body: SuggestionAgentBody) => void
  onDelete: () => void
  onCancel: () => void
}

interface Draft {
  name: string
  role: string
  focus: string
  systemPrompt: string
  temperature: string
  tools: readonly ToolName[]
  isActive: boolean
}

const FORM = 'agent'
const LABELS = {
  name: 'Name',
  role: 'Role',
  focus: 'Focus',
  systemPrompt: 'System prompt',
  temperature: 'Temperature',
  tools: 'Tools',
  isActive: 'Active',
}
const TEXTS = ['name', 'role', 'focus', 'systemPrompt'] as const
const TOOL_WORDS: Record<ToolName, string> = { Read: 'Read files', Grep: 'Search in files', Glob: 'List files' }

export const AgentForm = ({ agent, isBusy, problems, onSave, onDelete, onCancel }: AgentFormProps) => {
  const [draft, setDraft] = useState<Draft>(() => draftOf(agent))
  const [ownProblems, setOwnProblems] = useState<readonly FieldProblem[]>([])
  /** Changed since they were found wrong. */
  const [edited, setEdited] = useState<readonly string[]>([])
  const form = useRef<HTMLFormElement>(null)

  const _errors = useMemo(() => {
    const standing = [...problems, ...ownProblems].filter(({ field }) => !edited.includes(field))
    return fieldErrors(LABELS, standing)
  }, [problems, ownProblems, edited])

  useEffect(() => {
    if (problems.length + ownProblems.length > 0) {
      focusFirstInvalid(form.current)
    }
  }, [problems, ownProblems])

  const handleChange = ({ target }: ChangeEvent<HTMLInputElement | HTMLTextAreaElement>) => {
    setDraft({ ...draft, [target.name]: target.value })
    setEdited([...edited, target.name])
  }

  const handleToggleTool = ({ target }: ChangeEvent<HTMLInputElement>) => {
    const isWanted = (tool: ToolName) => (tool === target.value ? target.checked : draft.tools.includes(tool))
    setDraft({ ...draft, tools: TOOL_NAMES.filter(isWanted) })
  }

  const handleToggleActive = ({ target }: ChangeEvent<HTMLInputElement>) => {
    setDraft({ ...draft, isActive: target.checked })
  }

  const handleSubmit = (event: FormEvent) => {
    event.preventDefault()
    const found = problemsOf(draft)
    setOwnProblems(found)
    setEdited([])
    if (found.length === 0) {
      onSave(bodyOf(draft))
    }
  }

  return (
    <form ref={form} noValidate className="grid gap-4" onSubmit={handleSubmit}>
      {/* Who it is */}
      <div className="grid gap-4 sm:grid-cols-2">
        <Field name="name" form={FORM} label={LABELS.name} error={_errors['name']}>
          {(control) => (
            <input
              {...control}
              className="control"
              value={draft.name}
              placeholder="Accessibility advocate"
              autoComplete="off"
              required
              onChange={handleChange}
            />
          )}
        </Field>
        <Field name="role" form={FORM} label={LABELS.role} error={_errors['role']}>
          {(control) => (
            <input
              {...control}
              className="control"
              value={draft.role}
              placeholder="Senior product designer"
              autoComplete="off"
              required
              onChange={handleChange}
            />
          )}
        </Field>
      </div>

      {/* What it does */}
      <Field
        name="focus"
        form={FORM}
        label={LABELS.focus}
        error={_errors['focus']}
        counter={{ text: draft.focus, greatest: BOUNDS.focus.greatest }}
      >
        {(control) => (
          <textarea
            {...control}
            className="control resize-y"
            rows={2}
            value={draft.focus}
            placeholder="What people with low vision and keyboard users run into"
            required
            onChange={handleChange}
          />
        )}
      </Field>
      <Field
        name="systemPrompt"
        form={FORM}
        label={LABELS.systemPrompt}
        hint={`At least ${BOUNDS.systemPrompt.least} characters. The form of the answer stays as it is.`}
        error={_errors['systemPrompt']}
        counter={{ text: draft.systemPrompt, greatest: BOUNDS.systemPrompt.greatest }}
      >
        {(control) => (
          <textarea
            {...control}
            className="control resize-y"
            rows={5}
            value={draft.systemPrompt}
            required
            onChange={handleChange}
          />
        )}
      </Field>

      {/* How it works */}
      <div className="grid gap-4 sm:grid-cols-2">
        <Field
          name="temperature"
          form={FORM}
          label={LABELS.temperature}
          isOptional
          hint="0 to 1. Current models ignore it."
          error={_errors['temperature']}
        >
          {(control) => (
            <input
              {...control}
              className="control"
              inputMode="decimal"
              value={draft.temperature}
              autoComplete="off"
              onChange={handleChange}
            />
          )}
        </Field>
        <fieldset className="grid content-start gap-1">
          <legend className="mb-1 font-medium">{LABELS.tools}</legend>
          {TOOL_NAMES.map((tool) => (
            <label key={tool} className="flex items-center gap-2">
              <input
                type="checkbox"
                value={tool}
                checked={draft.tools.includes(tool)}
                className="size-4 accent-accent"
                onChange={handleToggleTool}
              />
              {TOOL_WORDS[tool]}
            </label>
          ))}
        </fieldset>
      </div>
      <label className="flex items-center gap-2 font-medium">
        <input
          type="checkbox"
          checked={draft.isActive}
          className="size-4 accent-accent"
          onChange={handleToggleActive}
        />
        Use this agent for my requests
      </label>

      {/* What to do with it */}
      <div className="flex flex-wrap gap-2 border-t border-line pt-4">
        <Button kind="primary" type="submit" disabled={isBusy}>
          Save
        </Button>
        <Button onClick={onCancel}>Cancel</Button>
        <Conditional isShown={agent !== null}>
          <Button kind="quiet" className="ml-auto text-alarm" disabled={isBusy} onClick={onDelete}>
            Delete agent
          </Button>
        </Conditional>
      </div>
    </form>
  )
}

const draftOf = (agent: SuggestionAgent | null): Draft => ({
  name: agent?.name ?? '',
  role: agent?.role ?? '',
  focus: agent?.focus ?? '',
  systemPrompt: agent?.systemPrompt ?? '',
  temperature: agent?.temperature?.toString() ?? '',
  tools: agent?.tools ?? TOOL_NAMES,
  isActive: agent?.isActive ?? true,
})

const bodyOf = (draft: Draft): SuggestionAgentBody => ({
  name: draft.name.trim(),
  role: draft.role.trim(),
  focus: draft.focus.trim(),
  systemPrompt: draft.systemPrompt.trim(),
  temperature: draft.temperature.trim() === '' ? null : numberOf(draft.temperature),
  tools: [...draft.tools],
  isActive: draft.isActive,
})

const problemsOf = (draft: Draft): FieldProblem[] => {
  const found = TEXTS.flatMap((field) => {
    const message = lengthProblem(draft[field].trim(), BOUNDS[field])
    return message === null ? [] : [{ field, message }]
  })
  const { least, greatest } = BOUNDS.temperature
  const temperature = draft.temperature.trim() === '' ? least : numberOf(draft.temperature)
  const isSane = temperature >= least && temperature <= greatest
  return isSane ? found : [...found, { field: 'temperature', message: `must be a number from ${least} to ${greatest}` }]
}

/** With a comma as well, as many people write it; not a number when it is none. */
const numberOf = (text: string): number => Number(text.trim().replace(',', '.'))
