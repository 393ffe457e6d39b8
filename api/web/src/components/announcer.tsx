import type { Session } from '../session.ts'
import { announcementOf } from '../status.ts'

interface AnnouncerProps {
  session: Session
}

/** Says aloud what has changed, for those who do not see it; never a number that counts. */
export const Announcer = ({ session }: AnnouncerProps) => (
  <p role="status" className="sr-only">
    {announcementOf(session)}
  </p>
)
