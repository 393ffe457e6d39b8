import type { Session } from '../session.ts'
import { announcementOf } from '../status.ts'

interface AnnouncerProps {
  session: Session
}

/** Tells screen readers what has changed, but not each step of a counter. */
export const Announcer = ({ session }: AnnouncerProps) => (
  <p role="status" className="sr-only">
    {announcementOf(session)}
  </p>
)
