/** The HTTP API, one function a call. Every error is an ApiError, or what `fetch` throws when no answer comes in time. */

import { send } from './access.ts'
import { ApiError } from './api-error.ts'
import { boundedBy } from './timing.ts'
import type {
  JobCreated,
  JobList,
  JobView,
  Options,
  SuggestFeatureRequest,
  SuggestionAgent,
  SuggestionAgentBody,
} from './types.gen.ts'

const ROOT = '/api/feature-planner'
/** A call without an answer for this long has failed. */
const CALL_MS = 15_000

export interface Creation {
  input: SuggestFeatureRequest
  /** Is the same for every try of one submit, so that a lost answer makes no second job. */
  idempotencyKey: string
}

export const createJob = ({ input, idempotencyKey }: Creation): Promise<JobCreated> =>
  call('/suggest-feature', { method: 'POST', body: input, headers: { 'Idempotency-Key': idempotencyKey } })

export const jobUrl = (jobId: string): string => `${ROOT}/suggest-feature/${encodeURIComponent(jobId)}`

export const readJob = (jobId: string): Promise<JobView> => call(`/suggest-feature/${encodeURIComponent(jobId)}`)

/** Returns the caller's own jobs that are still kept, the newest first, at most 50. */
export const listJobs = (): Promise<JobList> => call('/suggest-feature')

export const cancelJob = (jobId: string): Promise<JobView> =>
  call(`/suggest-feature/${encodeURIComponent(jobId)}`, { method: 'DELETE' })

export const readOptions = (): Promise<Options> => call('/options')

/** Returns the caller's own agent, or null. The query makes the answer 204 then: browsers log a 404 as an error. */
export const readAgent = async (): Promise<SuggestionAgent | null> =>
  (await call<SuggestionAgent | undefined>('/suggestion-agent?none=204')) ?? null

export const putAgent = (body: SuggestionAgentBody): Promise<SuggestionAgent> =>
  call('/suggestion-agent', { method: 'PUT', body })

export const deleteAgent = (): Promise<void> => call('/suggestion-agent', { method: 'DELETE' })

interface Call {
  method?: string
  body?: unknown
  headers?: Record<string, string>
}

const call = async <Answer>(path: string, { method = 'GET', body, headers = {} }: Call = {}): Promise<Answer> => {
  const sent: RequestInit = { method }
  const all: Record<string, string> = { Accept: 'application/json', ...headers }
  if (body !== undefined) {
    all['Content-Type'] = 'application/json'
    sent.body = JSON.stringify(body)
  }
  return boundedBy(CALL_MS, async (signal) => {
    const response = await send(ROOT + path, { ...sent, headers: all, signal })
    if (!response.ok) {
      throw await ApiError.from(response)
    }
    return (response.status === 204 ? undefined : await response.json()) as Answer
  })
}
