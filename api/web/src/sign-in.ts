/** Leads to the sign-in page, and back to the job that was open. */

import { webUrl } from './repository.ts'
import { remember, remembered } from './storage.ts'

const ADDRESS = 'sign-in'
const LEFT_OFF = 'left-off'

/** A path on this host, but no "//host", which would lead to another one. */
const isOwnPath = (address: string): boolean => /^\/(?![/\\])/u.test(address)

/** For refusals that do not say where to sign in, as those of a proxy in front of the server. */
export const rememberSignIn = (address: string | null): void => remember(ADDRESS, address)

/** What a link may lead to; null where there is no address, or none that a browser may follow. */
export const signInLink = (given: string | null): string | null => {
  const address = given ?? remembered(ADDRESS)
  return typeof address === 'string' && (isOwnPath(address) || webUrl(address) !== null) ? address : null
}

/** Called with the job on the screen when somebody goes to sign in. */
export const leaveOffAt = (jobId: string | null): void => remember(LEFT_OFF, jobId, 'session')

/** The job that was on the screen when somebody went to sign in from this tab; returned once. */
export const leftOff = (): string | null => {
  const jobId = remembered(LEFT_OFF, 'session') as string | null
  remember(LEFT_OFF, null, 'session')
  return jobId
}
