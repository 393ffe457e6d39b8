/** Describes what went wrong and what can be done about it. Pure. */

import { ApiError } from './client/api-error.ts'
import type { FieldProblem, JobError } from './client/types.gen.ts'
import { GaveUp } from './client/watch.ts'
import { countWords, spanWords } from './words.ts'

/** `network` means that no answer came; all others are answers of the server. */
export type TroubleKind =
  | 'network'
  | 'lost'
  | 'timeout'
  | 'signed-out'
  | 'limited'
  | 'fields'
  | 'missing'
  | 'foreign'
  | 'server'
  | 'job'
  | 'cancelled'

export interface Trouble {
  kind: TroubleKind
  title: string
  detail: string
  /** Whether the same request may succeed when it is sent again. */
  isRetryable: boolean
  /** When to send the request again, by this computer's clock; null for at once. */
  retryAt: number | null
  fields: readonly FieldProblem[]
  /** Where to sign in, where the server says so. */
  signInUrl: string | null
}

const trouble = (kind: TroubleKind, title: string, detail: string, more: Partial<Trouble> = {}): Trouble => ({
  kind,
  title,
  detail,
  isRetryable: true,
  retryAt: null,
  fields: [],
  signInUrl: null,
  ...more,
})

export const timedOut = (timeoutMs: number): Trouble =>
  trouble(
    'timeout',
    `Request timed out after ${spanWords(timeoutMs)}`,
    'The server is still at work on it, but should have finished by now. “Look again” goes on waiting; “Try again” stops it and asks anew.',
  )

const signedOut = (signInUrl: string | null): Trouble =>
  trouble(
    'signed-out',
    'You are signed out',
    'What you have typed is kept. Sign in, and come back to this page: it goes on where it was.',
    { isRetryable: false, signInUrl },
  )

export const CANCELLED = trouble('cancelled', 'Cancelled', 'The model has stopped.')
export const WITHDRAWN = trouble('cancelled', 'Cancelled', 'You took the request back before the server had answered.')

const LOST = trouble(
  'lost',
  'The server has not answered for ten minutes',
  'Your request is not lost by that. Check the connection, then look again.',
  { isRetryable: false },
)

const NETWORK = trouble(
  'network',
  'The server cannot be reached',
  'This looks like trouble with the network, not with your request. What you have typed is kept.',
)

/** The server has let go of a request that this browser has kept, but not to its end. */
export const UNSEEN = trouble(
  'missing',
  'This request has expired',
  'The server keeps requests for a few minutes only, and this browser was not there when this one ended. You can ask again.',
)

/** Returns the description of anything that was thrown. */
export const troubleOf = (error: unknown, now: number = Date.now()): Trouble => {
  if (error instanceof GaveUp) {
    return LOST
  }
  return error instanceof ApiError ? ofAnswer(error, now) : NETWORK
}

/** Returns the description of a failed job, from its `error` event; `whole` suggestions had come until then. */
export const troubleOfJob = ({ message, code, retryable }: JobError, whole: number): Trouble => {
  if (code === 'EXPIRED') {
    return trouble('missing', 'This request has expired', message)
  }
  if (whole > 0) {
    const kept = `${countWords(whole, 'suggestion')} ${whole === 1 ? 'was' : 'were'} whole by then and ${whole === 1 ? 'stays' : 'stay'} here.`
    return trouble('job', 'The answer broke off', `${message} ${kept}`, { isRetryable: retryable })
  }
  const title = code === 'TIMEOUT' ? 'The answer took too long' : 'No suggestions this time'
  return trouble('job', title, message, { isRetryable: retryable })
}

/** The button counts the seconds down; in the message they would stand still. */
const withoutWait = (message: string): string => message.replace(/ Try again in \d+ s\.$/u, '')

const ofAnswer = ({ status, message, errors, retryAfterMs, signInUrl }: ApiError, now: number): Trouble => {
  const retryAt = retryAfterMs === null ? null : now + retryAfterMs
  switch (status) {
    case 400:
      return trouble('missing', 'This link leads to no request', 'It may have been cut off when it was copied.', {
        isRetryable: false,
      })
    case 401:
      return signedOut(signInUrl)
    case 403:
      return trouble('foreign', 'This request is not yours', message, { isRetryable: false })
    case 404:
      return trouble(
        'missing',
        'This request does not exist, or has expired',
        'The server keeps requests for a few minutes only, and this browser has not kept this one.',
      )
    case 422:
      return trouble('fields', 'Please check the form', 'Something in it is not valid.', {
        isRetryable: false,
        fields: errors,
      })
    case 429:
      return trouble('limited', 'That was a lot of requests', withoutWait(message), { retryAt })
    case 503:
      return trouble('server', 'The service is busy', message, { retryAt })
    default:
      return trouble('server', 'The server could not do this', message, { retryAt, isRetryable: status >= 500 })
  }
}
