import { jobInAddress } from '../address.ts'
import { leaveOffAt, signInLink } from '../sign-in.ts'
import { buttonClass } from './button.tsx'
import { Conditional } from './conditional.tsx'

interface SignInLinkProps {
  /** As the server has told it; null where it has not. */
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
