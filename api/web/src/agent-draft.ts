/** Defines the content of the suggestion agent's form, and three examples to start from. Pure. */

import {
  type FieldProblem,
  SUGGESTION_AGENT_BODY_BOUNDS as BOUNDS,
  type SuggestionAgent,
  type SuggestionAgentBody,
  TOOL_NAMES,
  type ToolName,
} from './client/types.gen.ts'
import { lengthProblem } from './validation.ts'

export interface AgentDraft {
  name: string
  role: string
  focus: string
  systemPrompt: string
  temperature: string
  tools: readonly ToolName[]
  isActive: boolean
}

const TEXTS = ['name', 'role', 'focus', 'systemPrompt'] as const

export const agentDraftOf = (agent: SuggestionAgent | null): AgentDraft => ({
  name: agent?.name ?? '',
  role: agent?.role ?? '',
  focus: agent?.focus ?? '',
  systemPrompt: agent?.systemPrompt ?? '',
  temperature: agent?.temperature?.toString() ?? '',
  tools: agent?.tools ?? TOOL_NAMES,
  isActive: agent?.isActive ?? true,
})

export const agentBodyOf = (draft: AgentDraft): SuggestionAgentBody => ({
  name: draft.name.trim(),
  role: draft.role.trim(),
  focus: draft.focus.trim(),
  systemPrompt: draft.systemPrompt.trim(),
  temperature: draft.temperature.trim() === '' ? null : numberOf(draft.temperature),
  tools: [...draft.tools],
  isActive: draft.isActive,
})

export const agentProblemsOf = (draft: AgentDraft): FieldProblem[] => {
  const found = TEXTS.flatMap((field) => {
    const message = lengthProblem(draft[field].trim(), BOUNDS[field])
    return message === null ? [] : [{ field, message }]
  })
  const { least, greatest } = BOUNDS.temperature
  const temperature = draft.temperature.trim() === '' ? least : numberOf(draft.temperature)
  const isSane = temperature >= least && temperature <= greatest
  return isSane ? found : [...found, { field: 'temperature', message: `must be a number from ${least} to ${greatest}` }]
}

/** Reads a number, with a comma as well as a point, as many people write it; NaN when it is none. */
const numberOf = (text: string): number => Number(text.trim().replace(',', '.'))

type Preset = Pick<AgentDraft, 'name' | 'role' | 'focus' | 'systemPrompt'>

export const PRESETS: readonly Preset[] = [
  {
    name: 'Accessibility advocate',
    role: 'Designer who tests with disabled people',
    focus: 'What keyboard, screen reader and low vision users run into',
    systemPrompt:
      'You look at every page as somebody who uses a keyboard, a screen reader, a magnifier or their voice. Suggest what removes an obstacle for them and helps everybody else as well. Name the obstacle and whom it stops. Prefer plain HTML to cleverness.',
  },
  {
    name: 'Growth analyst',
    role: 'Product analyst who thinks in steps and numbers',
    focus: 'Where people drop out, and what would make them come back',
    systemPrompt:
      'You think in the steps people take through a product. For each suggestion say at which step it helps, which number would show that it worked, and how to try it small before building it large. No dark patterns: nothing that works only because people do not notice it.',
  },
  {
    name: 'Careful engineer',
    role: 'Senior engineer who keeps the system running',
    focus: 'Speed, errors, and what will be hard to change later',
    systemPrompt:
      'You have been called at night for this code and do not want to be again. Suggest what makes the page faster, its errors rarer and clearer, and the code easier to change. Read the files before you suggest anything, name them, and prefer the smallest change that does it.',
  },
]
