// Made by scripts/generate_types.py from the Python models; do not edit.

export type ToolName = 'Read' | 'Grep' | 'Glob'

export interface Cancelled {
  timestamp: number
  tokenUsage: TokenUsage
}

export type Cause = 'worker_lost' | 'model_error' | 'drain'

export interface Complete {
  timestamp: number
  suggestions: Suggestion[]
  context: string | null
  isPartial: boolean
  tokenUsage: TokenUsage
  model: string
  executionTimeMs: number
  retryCount: number
}

export interface Connected {
  timestamp: number
  jobId: string
  status: JobStatus
}

export interface Delta {
  timestamp: number
  text: string
  totalLength: number
}

export type ErrorCode = 'TIMEOUT' | 'WORKER_LOST' | 'MODEL_OVERLOADED' | 'MODEL_UNAVAILABLE' | 'MODEL_REJECTED' | 'MODEL_REFUSED' | 'BAD_OUTPUT' | 'EXPIRED' | 'INTERNAL'

export interface Failed {
  timestamp: number
  message: string
  code: ErrorCode
  retryable: boolean
}

export type FeatureType = 'enhancement' | 'new-capability' | 'optimization' | 'ui-improvement' | 'integration'

export interface FieldProblem {
  field: string
  message: string
}

export interface JobCreated {
  jobId: string
  status: JobStatus
  createdAt: number
  streamUrl: string
}

export interface JobError {
  message: string
  code: ErrorCode
  retryable: boolean
}

export interface JobInput {
  pageOrComponent: string
  featureType: FeatureType
  priorityLevel: PriorityLevel
  additionalContext: string | null
  customModel: string | null
}

export interface JobList {
  jobs: JobSummary[]
}

export type JobStatus = 'pending' | 'in_progress' | 'completed' | 'failed' | 'cancelled'

export interface JobSummary {
  jobId: string
  status: JobStatus
  createdAt: number
  pageOrComponent: string
  featureType: FeatureType
  priorityLevel: PriorityLevel
}

export interface JobView {
  jobId: string
  status: JobStatus
  createdAt: number
  attempt: number | null
  lastEventId: string | null
  input: JobInput
  text: string | null
  suggestions: Suggestion[] | null
  isPartial: boolean
  tokenUsage: TokenUsage | null
  error: JobError | null
  queuePosition: number | null
  waiting: Wait | null
}

export interface Limits {
  pageOrComponentMaxLength: number
  additionalContextMaxLength: number
  jobsPerMinute: number
  streamsPerUser: number
  jobTimeoutSeconds: number
}

export interface Note {
  timestamp: number
  text: string
}

export interface Options {
  featureTypes: FeatureType[]
  priorityLevels: PriorityLevel[]
  models: string[]
  defaultModel: string
  isSandbox: boolean
  limits: Limits
  agent: string | null
  repositoryUrl: string | null
  signInUrl: string | null
}

export type PriorityLevel = 'low' | 'medium' | 'high' | 'critical'

export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  errors?: FieldProblem[] | null
}

export interface Queued {
  timestamp: number
  position: number
  workers: number
}

export interface Started {
  timestamp: number
  attempt: number
  model: string
  agent: string
  cause: Cause | null
  turnsKept: number
}

export interface SuggestFeatureRequest {
  pageOrComponent: string
  featureType: FeatureType
  priorityLevel: PriorityLevel
  additionalContext?: string | null
  customModel?: string | null
}

export interface SuggestedFile {
  path: string
  why: string
}

export interface Suggestion {
  title: string
  rationale: string
  description: string
  implementationConsiderations: string[]
  files: SuggestedFile[]
}

export interface SuggestionAgent {
  agentId: string
  name: string
  role: string
  focus: string
  systemPrompt: string
  temperature: number | null
  tools: ToolName[]
  isActive: boolean
  createdAt: number
  updatedAt: number
}

export interface SuggestionAgentBody {
  name: string
  role: string
  focus: string
  systemPrompt: string
  temperature?: number | null
  tools: ToolName[]
  isActive: boolean
}

export interface SuggestionReady {
  timestamp: number
  index: number
  suggestion: Suggestion
}

export interface TokenUsage {
  inputTokens: number
  outputTokens: number
  cacheReadTokens: number
  cacheCreationTokens: number
  totalTokens: number
}

export interface Tool {
  timestamp: number
  name: ToolName
  input: Record<string, unknown>
}

export interface Wait {
  reason: WaitReason
  until: number
}

export type WaitReason = 'rate_limited' | 'overloaded' | 'unreachable'

export interface Waiting {
  timestamp: number
  reason: WaitReason
  until: number
}

/** One event of a stream, by its name. */
export type JobEvent =
  | { event: 'connected'; data: Connected }
  | { event: 'queued'; data: Queued }
  | { event: 'started'; data: Started }
  | { event: 'waiting'; data: Waiting }
  | { event: 'note'; data: Note }
  | { event: 'delta'; data: Delta }
  | { event: 'tool'; data: Tool }
  | { event: 'suggestion'; data: SuggestionReady }
  | { event: 'complete'; data: Complete }
  | { event: 'error'; data: Failed }
  | { event: 'cancelled'; data: Cancelled }

export const FEATURE_TYPES = ['enhancement', 'new-capability', 'optimization', 'ui-improvement', 'integration'] as const

export const PRIORITY_LEVELS = ['low', 'medium', 'high', 'critical'] as const

export const TOOL_NAMES = ['Read', 'Grep', 'Glob'] as const

export const FINAL_EVENTS: ReadonlySet<string> = new Set(['cancelled', 'complete', 'error'])

export const SUGGEST_FEATURE_REQUEST_BOUNDS = {
  pageOrComponent: { least: 1, greatest: 200 },
  additionalContext: { least: 0, greatest: 1000 },
  customModel: { least: 1, greatest: 100 },
} as const

export const SUGGESTION_AGENT_BODY_BOUNDS = {
  name: { least: 3, greatest: 100 },
  role: { least: 5, greatest: 100 },
  focus: { least: 10, greatest: 500 },
  systemPrompt: { least: 50, greatest: 5000 },
  temperature: { least: 0, greatest: 1 },
} as const
