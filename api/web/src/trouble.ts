/** What went wrong, in words, and what can be done about it. Pure. */

import { ApiError } from './api.ts'
import { GaveUp } from './stream.ts'
import type { FieldProblem, JobError } from './types.gen.ts'

/** `network` is trouble on the way; all others are answers. */
export type TroubleKind = 'network' | 'timeout' | 'signed-out' | 'limited' | 'fields' | 'missing' | 'foreign' | 'server' | 'job' | 'cancelled'

export interface Trouble {
  kind: TroubleKind
  title: string
  detail: string
  /** Whether asking again unchanged may help. */
  isRetryable: boolean
  /** How long to wait before asking again, where the server said so. */
  retryAfterMs: number | null
  fields: readonly FieldProblem[]
}

const trouble = (kind: TroubleKind, title: string, detail: string, more: Partial<Trouble> = {}): Trouble => ({
  kind,
  title,
  detail,
  isRetryable: true,
  retryAfterMs: null,
  fields: [],
  ...more,
})

export const TIMED_OUT = trouble(
  'timeout',
  'Request timed out after 2 minutes',
  'No answer has come in that time. You can ask again, or look whether it has come after all.',
)

export const SIGNED_OUT = trouble('signed-out', 'You are signed out', 'Sign in again, then reload this page.', {
  isRetryable: false,
})

export const CANCELLED = trouble(
  'cancelled',
  'Cancelled',
  'The model has stopped.',
)

/** The trouble behind whatever was thrown. */
export const troubleOf = (error: unknown): Trouble => {
  if (error instanceof GaveUp) {
    return TIMED_OUT
  }
  return error instanceof ApiError ? ofAnswer(error) : NETWORK
}

/** A job that failed, by its `error` event. */
export const troubleOfJob = ({ message, code, retryable }: JobError): Trouble => {
  if (code === 'EXPIRED') {
    return trouble('missing', 'This request has expired', message)
  }
  const title = code === 'TIMEOUT' ? 'The answer took too long' : 'No suggestions this time'
  return trouble('job', title, message, { isRetryable: retryable })
}

const NETWORK = trouble(
  'network',
  'The server cannot be reached',
  'This looks like trouble with the network, not with your request. Check the connection, then try again.',
)

const ofAnswer = ({ status, message, errors, retryAfterMs }: ApiError): Trouble => {
  switch (status) {
    case 400:
      return trouble('missing', 'This address names no request', message, { isRetryable: false })
    case 401:
      return SIGNED_OUT
    case 403:
      return trouble('foreign', 'This request is not yours', message, { isRetryable: false })
    case 404:
      return trouble(
        'missing',
        'This request does not exist, or has expired',
        'Requests are kept for a few minutes only. You can ask again.',
      )
    case 422:
      return trouble('fields', 'Please check the form', 'Something in it is not valid.', {
        isRetryable: false,
        fields: errors,
      })
    case 429:
      return trouble('limited', 'That was a lot of requests', message, { retryAfterMs })
    case 503:
      return trouble('server', 'The service is busy', message, { retryAfterMs })
    default:
      return trouble('server', 'The server could not do this', message, { retryAfterMs, isRetryable: status >= 500 })
  }
}
