/** Sends the person to the sign-in page, and afterwards back to the job that was open. */

import { webUrl } from './repository.ts'
import { remember, remembered } from './storage.ts'

const ADDRESS = 'sign-in'
const LEFT_OFF = 'left-off'

/** Returns whether the address is a path on this host; "//host" would lead to another one. */
const isOwnPath = (address: string): boolean => /^\/(?![/\\])/u.test(address)

/** Stores the address, for refusals that do not say where to sign in, such as those of a proxy. */
export const rememberSignIn = (address: string | null): void => remember(ADDRESS, address)

/** Returns an address that a link may have; null where there is none, or none that is safe. */
export const signInLink = (given: string | null): string | null => {
  const address = given ?? remembered(ADDRESS)
  return typeof address === 'string' && (isOwnPath(address) || webUrl(address) !== null) ? address : null
}

/** Stores the job on the screen when the person goes to sign in. */
export const leaveOffAt = (jobId: string | null): void => remember(LEFT_OFF, jobId, 'session')

/** Returns, once, the job that was on the screen when the person went to sign in from this tab. */
export const leftOff = (): string | null => {
  const jobId = remembered(LEFT_OFF, 'session') as string | null
  remember(LEFT_OFF, null, 'session')
  return jobId
}
