import { jobInAddress } from '../address.ts'
import { leaveOffAt, signInLink } from '../sign-in.ts'
import { buttonClass } from './button.tsx'
import { Conditional } from './conditional.tsx'

interface SignInLinkProps {
  /** The URL that the server gave; null where it gave none. */
  address: string | null
}

export const SignInLink = ({ address }: SignInLinkProps) => (
  <Conditional when={signInLink(address)}>
    {(url) => (
      <a href={url} className={buttonClass('primary')} onClick={() => leaveOffAt(jobInAddress())}>
        Sign in
      </a>
    )}
  </Conditional>
)
