/** The HTTP API, one function a call. Every error is an ApiError, or what `fetch` throws when nobody answers. */

import type {
  FieldProblem,
  JobCreated,
  JobView,
  Options,
  Problem,
  SuggestFeatureRequest,
  SuggestionAgent,
  SuggestionAgentBody,
} from './types.gen.ts'

const ROOT = '/api/feature-planner'

/** An answer that is an error, as RFC 9457 has it. */
export class ApiError extends Error {
  override name = 'ApiError'
  readonly status: number
  readonly errors: readonly FieldProblem[]
  /** How long the server asks us to wait. */
  readonly retryAfterMs: number | null

  constructor(status: number, detail: string, errors: readonly FieldProblem[] = [], retryAfterMs: number | null = null) {
    super(detail)
    this.status = status
    this.errors = errors
    this.retryAfterMs = retryAfterMs
  }

  static async from(response: Response): Promise<ApiError> {
    const problem = await response.json().catch(() => null) as Partial<Problem> | null
    const seconds = Number.parseFloat(response.headers.get('Retry-After') ?? '')
    const detail = problem?.detail ?? `The server answered ${response.status}.`
    const retryAfterMs = Number.isFinite(seconds) ? seconds * 1_000 : null
    return new ApiError(response.status, detail, problem?.errors ?? [], retryAfterMs)
  }
}

export interface Creation {
  input: SuggestFeatureRequest
  /** The same for every try of one submit, so that a lost answer makes no second job. */
  idempotencyKey: string
}

export const createJob = ({ input, idempotencyKey }: Creation): Promise<JobCreated> =>
  call('/suggest-feature', { method: 'POST', body: input, headers: { 'Idempotency-Key': idempotencyKey } })

export const jobUrl = (jobId: string): string => `${ROOT}/suggest-feature/${encodeURIComponent(jobId)}`

export const readJob = (jobId: string): Promise<JobView> => call(`/suggest-feature/${encodeURIComponent(jobId)}`)

export const cancelJob = (jobId: string): Promise<JobView> =>
  call(`/suggest-feature/${encodeURIComponent(jobId)}`, { method: 'DELETE' })

export const readOptions = (): Promise<Options> => call('/options')

/** The caller's own agent, or null. */
export const readAgent = async (): Promise<SuggestionAgent | null> => {
  try {
    return await call<SuggestionAgent>('/suggestion-agent')
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) {
      return null
    }
    throw error
  }
}

export const putAgent = (body: SuggestionAgentBody): Promise<SuggestionAgent> =>
  call('/suggestion-agent', { method: 'PUT', body })

export const deleteAgent = (): Promise<void> => call('/suggestion-agent', { method: 'DELETE' })

interface Call {
  method?: string
  body?: unknown
  headers?: Record<string, string>
}

const call = async <Answer>(path: string, { method = 'GET', body, headers = {} }: Call = {}): Promise<Answer> => {
  const init: RequestInit = { method, headers: { Accept: 'application/json', ...headers } }
  if (body !== undefined) {
    init.headers = { ...init.headers, 'Content-Type': 'application/json' }
    init.body = JSON.stringify(body)
  }
  const response = await fetch(ROOT + path, init)
  if (!response.ok) {
    throw await ApiError.from(response)
  }
  return (response.status === 204 ? undefined : await response.json()) as Answer
}
