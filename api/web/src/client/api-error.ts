/** Is thrown for an answer that is an error, in the form of RFC 9457. */

import type { FieldProblem, Problem } from './types.gen.ts'

export class ApiError extends Error {
  override name = 'ApiError'
  readonly status: number
  readonly errors: readonly FieldProblem[]
  /** How long the server asks clients to wait, in milliseconds. */
  readonly retryAfterMs: number | null
  /** Where to sign in, where a 401 says so. */
  readonly signInUrl: string | null

  constructor(
    status: number,
    detail: string,
    errors: readonly FieldProblem[] = [],
    retryAfterMs: number | null = null,
    signInUrl: string | null = null,
  ) {
    super(detail)
    this.status = status
    this.errors = errors
    this.retryAfterMs = retryAfterMs
    this.signInUrl = signInUrl
  }

  static async from(response: Response): Promise<ApiError> {
    const problem = await response.json().catch(() => null) as Partial<Problem> | null
    const seconds = Number.parseFloat(response.headers.get('Retry-After') ?? '')
    const detail = problem?.detail ?? `The server answered ${response.status}.`
    const retryAfterMs = Number.isFinite(seconds) ? seconds * 1_000 : null
    return new ApiError(response.status, detail, problem?.errors ?? [], retryAfterMs, response.headers.get('Sign-In-URL'))
  }
}

