/** The state machine behind the hook: one job on the screen, from the form to its end. Pure. */

import type { Connection } from './stream.ts'
import { EMPTY_JOB, fold, type Job } from './transcript.ts'
import { CANCELLED, type Trouble, troubleOfJob } from './trouble.ts'
import type { JobEvent, SuggestFeatureRequest } from './types.gen.ts'

/** idle → creating → connecting → streaming → complete | error; a new attempt goes back to connecting. */
export type Phase = 'idle' | 'creating' | 'connecting' | 'streaming' | 'complete' | 'error'

/** After an attempt's `started` the page waits this long for the end. */
export const ANSWER_MS = 120_000

export interface Session {
  phase: Phase
  jobId: string | null
  /** What was asked for, where this page asked for it. */
  input: SuggestFeatureRequest | null
  job: Job
  connection: Connection
  trouble: Trouble | null
  /** When the page loses patience, by its own clock; null while nothing is being written. */
  deadline: number | null
  /** How far the server's clock is ahead of ours. */
  clockOffsetMs: number
}

export type Action =
  | { type: 'submitted'; input: SuggestFeatureRequest }
  | { type: 'created'; jobId: string }
  | { type: 'opened'; jobId: string }
  | { type: 'connection'; connection: Connection }
  | { type: 'event'; event: JobEvent; eventId: string | null; receivedAt: number }
  | { type: 'failed'; trouble: Trouble }
  | { type: 'left' }

export const IDLE: Session = {
  phase: 'idle',
  jobId: null,
  input: null,
  job: EMPTY_JOB,
  connection: { state: 'connecting' },
  trouble: null,
  deadline: null,
  clockOffsetMs: 0,
}

export const step = (session: Session, action: Action): Session => {
  switch (action.type) {
    case 'submitted':
      return { ...IDLE, phase: 'creating', input: action.input }
    case 'created':
      return session.phase === 'creating'
        ? { ...session, phase: 'connecting', jobId: action.jobId }
        : session
    case 'opened':
      return opened(session, action.jobId)
    case 'connection':
      return isUnderWay(session) ? { ...session, connection: action.connection } : session
    case 'event':
      return isUnderWay(session) ? afterEvent(session, action) : session
    case 'failed':
      return { ...session, phase: 'error', trouble: action.trouble, deadline: null }
    case 'left':
      return IDLE
  }
}

/** Whether the end is still to come, so that nothing else can be asked for. */
export const isUnderWay = ({ phase }: Session): boolean =>
  phase === 'creating' || phase === 'connecting' || phase === 'streaming'

/** A job that is being watched already goes on. */
const opened = (session: Session, jobId: string): Session => {
  if (jobId !== session.jobId) {
    return { ...IDLE, phase: 'connecting', jobId }
  }
  return isUnderWay(session) ? session : { ...IDLE, phase: 'connecting', jobId, input: session.input }
}

type Received = Extract<Action, { type: 'event' }>

const afterEvent = (session: Session, { event, eventId, receivedAt }: Received): Session => {
  const job = fold(session.job, event, eventId)
  const clockOffsetMs = event.event === 'connected' ? event.data.timestamp - receivedAt : session.clockOffsetMs
  const phase = phaseAfter(event, job)
  const deadline = phase === 'streaming' && job.started ? job.started.timestamp - clockOffsetMs + ANSWER_MS : null
  return { ...session, job, phase, clockOffsetMs, deadline, trouble: troubleIn(event, job) }
}

/** By the event, not by the job's status: `connected` tells how the job ended before it tells what led there. */
const phaseAfter = ({ event }: JobEvent, { started, queuePosition }: Job): Phase => {
  if (event === 'complete') {
    return 'complete'
  }
  if (event === 'error' || event === 'cancelled') {
    return 'error'
  }
  return started !== null && queuePosition === null ? 'streaming' : 'connecting'
}

const troubleIn = ({ event }: JobEvent, { error }: Job): Trouble | null => {
  if (event === 'cancelled') {
    return CANCELLED
  }
  return error === null ? null : troubleOfJob(error)
}
