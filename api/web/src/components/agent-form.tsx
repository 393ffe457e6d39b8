import { type ChangeEvent, type FormEvent, useState } from 'react'
import { type AgentDraft, agentBodyOf, agentDraftOf, agentProblemsOf, PRESETS } from '../agent-draft.ts'
import {
  SUGGESTION_AGENT_BODY_BOUNDS as BOUNDS,
  type FieldProblem,
  type SuggestionAgent,
  type SuggestionAgentBody,
  TOOL_NAMES,
  type ToolName,
} from '../client/types.gen.ts'
import { remember } from '../storage.ts'
import { useFormErrors } from '../use-form-errors.ts'
import { Button } from './button.tsx'
import { Conditional } from './conditional.tsx'
import { ConfirmButton } from './confirm-button.tsx'
import { Field } from './field.tsx'

interface AgentFormProps {
  /** The stored agent; null where there is none. */
  agent: SuggestionAgent | null
  /** The content of the form at first. */
  start: AgentDraft
  isBusy: boolean
  /** The errors that the server found. */
  problems: readonly FieldProblem[]
  onSave: (body: SuggestionAgentBody) => void
  onDelete: () => void
  onCancel: () => void
}

/** The name under which unsaved input is kept when the dialog is closed. */
export const AGENT_DRAFT = 'agent-draft'
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
const TOOL_WORDS: Record<ToolName, string> = { Read: 'Read files', Grep: 'Search in files', Glob: 'List files' }

export const AgentForm = ({ agent, start, isBusy, problems, onSave, onDelete, onCancel }: AgentFormProps) => {
  const [draft, setDraft] = useState(start)
  const { form, errors: _errors, accept, change } = useFormErrors(LABELS, problems)

  const _saved = agentDraftOf(agent)
  const _isChanged = JSON.stringify(draft) !== JSON.stringify(_saved)

  const edit = (changes: Partial<AgentDraft>) => {
    setDraft({ ...draft, ...changes })
    remember(AGENT_DRAFT, { ...draft, ...changes })
    Object.keys(changes).forEach(change)
  }

  const handleChange = ({ target }: ChangeEvent<HTMLInputElement | HTMLTextAreaElement>) => edit({ [target.name]: target.value })

  const handleToggleTool = ({ target }: ChangeEvent<HTMLInputElement>) => {
    const isWanted = (tool: ToolName) => (tool === target.value ? target.checked : draft.tools.includes(tool))
    edit({ tools: TOOL_NAMES.filter(isWanted) })
  }

  const handleDiscard = () => {
    setDraft(_saved)
    remember(AGENT_DRAFT, null)
  }

  const handleSubmit = (event: FormEvent) => {
    event.preventDefault()
    if (accept(agentProblemsOf(draft))) {
      onSave(agentBodyOf(draft))
    }
  }

  return (
    <form ref={form} noValidate className="grid gap-4" onSubmit={handleSubmit}>
      {/* Something to start from */}
      <div className="flex flex-wrap items-center gap-2 text-sm">
        <span className="text-quiet">Start from:</span>
        {PRESETS.map((preset) => (
          <Button key={preset.name} className="min-h-8 px-2.5 py-0.5" onClick={() => edit(preset)}>
            {preset.name}
          </Button>
        ))}
      </div>

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
        hint={`At least ${BOUNDS.systemPrompt.least} characters. Answers keep their form: three to five suggestions.`}
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
          onChange={({ target }) => edit({ isActive: target.checked })}
        />
        Use this agent for my requests
      </label>

      {/* What to do with it */}
      <Conditional when={_isChanged}>
        <p className="text-sm text-quiet">
          Not saved yet. What you have typed stays here when you close this.{' '}
          <button type="button" className="text-accent underline" onClick={handleDiscard}>
            Discard it
          </button>
        </p>
      </Conditional>
      <div className="flex flex-wrap gap-2 border-t border-line pt-4">
        <Button kind="primary" type="submit" disabled={isBusy}>
          Save
        </Button>
        <Button onClick={onCancel}>Close</Button>
        <Conditional when={agent !== null}>
          <div className="ml-auto">
            <ConfirmButton label="Delete agent" question="Delete this agent?" isDisabled={isBusy} onConfirm={onDelete} />
          </div>
        </Conditional>
      </div>
    </form>
  )
}
